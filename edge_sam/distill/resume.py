"""Where a run goes on: the checkpoint that has seen most images, the same in all processes."""

from pathlib import Path

from edge_sam.config import RunConfig
from edge_sam.data.sampler import ResumableSampler
from edge_sam.distill.run_folder import RunFolder
from edge_sam.distill.training_checkpoint import TrainingCheckpoint, checkpoint_files, find_newest
from edge_sam.distributed import gather_objects
from edge_sam.errors import EdgeSamError


def find_checkpoint(config: RunConfig, folder: RunFolder) -> tuple[str, TrainingCheckpoint] | None:
    """Return where to go on: the newest of the run folder, or MODEL.RESUME where that is farther.

    Raises:
        EdgeSamError: a checkpoint that cannot be read or is of another run, or one where none may be.
    """
    found: list[tuple[Path, TrainingCheckpoint]] = []
    if config.TRAIN.AUTO_RESUME:
        newest = find_newest(folder.path, folder.say)
        found += [] if newest is None else [newest]
    elif any(checkpoint_files(folder.path).values()):
        raise EdgeSamError(f"{folder.path}: holds a run already: choose another --tag, or set TRAIN.AUTO_RESUME true")
    if config.MODEL.RESUME:
        path = Path(config.MODEL.RESUME)
        found.append((path, TrainingCheckpoint.load(path)))
    if not found:
        return None
    path, checkpoint = max(found, key=lambda pair: pair[1].images)
    if config.MODEL.RESUME and path != Path(config.MODEL.RESUME):
        folder.say(
            f"passed over: MODEL.RESUME {config.MODEL.RESUME}, {found[-1][1].images} images seen: this run is farther; "
            "another --tag starts a run that goes on from there"
        )
    changed = checkpoint.expect_settings(config.model_dump(mode="json"), path)
    folder.say(f"going on from {path}, {checkpoint.images} images seen")
    if changed:
        folder.say(f"with other settings than before: {'; '.join(changed)}")
    return str(path), checkpoint


def expect_embedder(config: RunConfig, checkpoint: TrainingCheckpoint, embedder_sha256: str) -> None:
    """Insist that the stored embeddings are still those of the frozen encoder that the run began with.

    Raises:
        EdgeSamError: MODEL.PRETRAINED is another file than then.
    """
    if config.DISTILL.STORED_EMBEDDINGS and checkpoint.teacher_sha256 not in ("", embedder_sha256):
        raise EdgeSamError(
            f"the run began with the encoder of a file with SHA-256 {checkpoint.teacher_sha256}, MODEL.PRETRAINED "
            f"{config.MODEL.PRETRAINED} has {embedder_sha256}: use the same, or another --tag"
        )


def agree_on_position(sampler: ResumableSampler) -> None:
    """Insist that all processes go on from the same place: on several machines each looks into folders of its own."""
    found = gather_objects((sampler.epoch, sampler.images_seen, sampler.length))
    for rank, position in enumerate(found):
        if position != found[0]:
            here, there = ("epoch {}, image {} of {}".format(*place) for place in (found[0], position))
            raise EdgeSamError(
                f"process 0 stands at {here}, process {rank} at {there}: do all machines see the same --output and "
                "--data-path? (a network drive may need a moment)"
            )
