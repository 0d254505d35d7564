"""The command that stores a teacher's embeddings: from a configuration to calls."""

import argparse
import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.atomic_writing import write_atomically
from edge_sam.config import RunConfig
from edge_sam.distributed import World, agree_on_errors, gather_objects, process_group
from edge_sam.embeddings.check import check_store
from edge_sam.embeddings.images import PREPROCESSING, TeacherImages
from edge_sam.embeddings.save import check_bad_share, claimed_store, fill_store, write_refused
from edge_sam.embeddings.store import EmbeddingStore, StoreSpec
from edge_sam.embeddings.teacher import Teacher, load_teacher_weights
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.network_settings import expect_network_settings
from edge_sam.modeling.registry import build_image_encoder

SPLIT = "train"


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and fill the store, or check it."""
    parser = argparse.ArgumentParser(
        prog="save_embedding.py", allow_abbrev=False,
        description="Store the teacher's image embeddings of the train split; a killed run goes on where it was.",
    )  # fmt: skip
    add_run_arguments(parser, "batch", "folder", "resume")
    parser.add_argument(
        "--eval", action="store_true",
        help="accepted because it is customary: this pass never trains, the teacher is always in eval mode",
    )  # fmt: skip
    parser.add_argument(
        "--check-saved-embed", action="store_true",
        help="compute some stored embeddings again, print the error and fail when it is too large; writes nothing",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    config = config_from_arguments(given)
    with process_group(config.ONLY_CPU) as world:
        (_check if given.check_saved_embed else _save)(config, world)


def _save(config: RunConfig, world: World) -> None:
    store_path = Path(config.DISTILL.TEACHER_EMBED_PATH) / SPLIT
    with agree_on_errors():
        images = _open_images(config)
        teacher = _load_teacher(config, world)
    with ExitStack() as claim:
        with agree_on_errors():
            if world.is_main:
                _announce(config, world, len(images))
                _check_run_folder(config)
                claim.enter_context(
                    claimed_store(store_path, _spec(config, teacher), images.ids, config.DATA.BATCH_SIZE)
                )
                _write_run_folder(config, "config.yaml", config.to_yaml())
        _fill(config, world, images, teacher, store_path)


def _fill(config: RunConfig, world: World, images: TeacherImages, teacher: Teacher, store_path: Path) -> None:
    data = config.DATA
    with agree_on_errors():
        store = EmbeddingStore.open(store_path, writable=True)
        shards = len(store.missing_shards())
    if world.is_main:
        print(f"store: {store_path}: {store.shard_count - shards} of {store.shard_count} shards are there", flush=True)
    gather_objects(None)
    started = time.monotonic()
    embedded = fill_store(
        store, images, teacher, world,
        batch_size=data.BATCH_SIZE, num_workers=data.NUM_WORKERS, refused_file=_refused_file(config),
        pin_memory=data.PIN_MEMORY and world.device.type == "cuda", max_bad_share=data.MAX_BAD_SHARE,
    )  # fmt: skip
    seconds = time.monotonic() - started
    with agree_on_errors():
        if world.is_main:
            _conclude(config, images, store_path, embedded, seconds)


def _refused_file(config: RunConfig) -> Path:
    return config.run_folder / "refused.jsonl"


def _conclude(config: RunConfig, images: TeacherImages, store_path: Path, embedded: int, seconds: float) -> None:
    store = EmbeddingStore.open(store_path)
    refused = write_refused(store, images, _refused_file(config))
    summary = {
        "images": len(store), "valid": len(store.valid_ids), "refused": len(refused),
        "embedded_now": embedded, "seconds": round(seconds, 3), "images_per_second": round(embedded / seconds, 3),
    }  # fmt: skip
    _write_run_folder(config, "embedding.json", json.dumps(summary, indent=2) + "\n")
    rate = f", {embedded} now in {seconds:.1f} s ({embedded / seconds:.2f} images/s)" if embedded else ""
    listed = f", listed in {_refused_file(config)}" if refused else ""
    print(f"done: {len(store.valid_ids)} embeddings{rate}; {len(refused)} images refused{listed}", flush=True)
    if refused:
        example = f"{refused[0]['image_id']}: {refused[0]['reason']}"
        check_bad_share(len(refused), len(store), config.DATA.MAX_BAD_SHARE, _refused_file(config), example)


def _check(config: RunConfig, world: World) -> None:
    with agree_on_errors():
        images = _open_images(config)
        store = EmbeddingStore.open(Path(config.DISTILL.TEACHER_EMBED_PATH) / SPLIT)
        teacher = _load_teacher(config, world)
        if world.is_main:
            _announce(config, world, len(images))
            store.expect(_spec(config, teacher), images.ids)
    error = check_store(store, images, teacher, world, batch_size=config.DATA.BATCH_SIZE)
    verdict = (
        f"{error.images} of {len(store.valid_ids)} embeddings computed again: largest error {error.max_absolute:.3g}, "
        f"relative RMS error {error.relative_rms:.3g} (at most {error.tolerance:.3g} for {store.spec.dtype})"
    )
    if not error.relative_rms <= error.tolerance:
        raise EdgeSamError(f"{store.path}: {verdict}: delete the store and make it again")
    if world.is_main:
        print(f"check: {verdict}", flush=True)


def _open_images(config: RunConfig) -> TeacherImages:
    return TeacherImages(config.DATA.DATA_PATH, SPLIT, config.DATA.IMG_SIZE, config.DATA.NUM_SAMPLES)


def _load_teacher(config: RunConfig, world: World) -> Teacher:
    if not config.MODEL.RESUME:
        raise EdgeSamError("MODEL.RESUME is empty: name the teacher's checkpoint by --resume WEIGHTS")
    encoder = build_image_encoder(
        config.MODEL.TYPE, config.DATA.IMG_SIZE, config.DISTILL.FUSE, config.DISTILL.UPSAMPLE_MODE
    )
    expect_network_settings(config.MODEL.RESUME, config.model_dump(mode="json"))
    load_teacher_weights(encoder, config.MODEL.RESUME)
    return Teacher(encoder, world.device, "bfloat16" if config.AMP_ENABLE else "float32")


def _spec(config: RunConfig, teacher: Teacher) -> StoreSpec:
    is_repvit = config.MODEL.TYPE.startswith("rep_vit")
    return StoreSpec(
        teacher_type=config.MODEL.TYPE,
        teacher_sha256=file_sha256(config.MODEL.RESUME),
        fuse=config.DISTILL.FUSE if is_repvit else None,
        upsample_mode=config.DISTILL.UPSAMPLE_MODE if is_repvit else None,
        image_size=config.DATA.IMG_SIZE,
        preprocessing=PREPROCESSING,
        precision=teacher.precision,
        dtype=config.DISTILL.TEACHER_EMBED_DTYPE,
    )


def _announce(config: RunConfig, world: World, images: int) -> None:
    precision = "bfloat16 autocast" if config.AMP_ENABLE else "float32"
    print(
        f"teacher: {config.MODEL.TYPE} of {config.MODEL.RESUME}, {precision} on {world.size} x {world.device.type}\n"
        f"images: {images} of {config.DATA.DATA_PATH}, {config.DATA.IMG_SIZE} px, "
        f"stored as {config.DISTILL.TEACHER_EMBED_DTYPE}",
        flush=True,
    )


def _check_run_folder(config: RunConfig) -> None:
    """Find out before the store is made that the run folder cannot be; nothing is written yet."""
    folder = next(path for path in (config.run_folder, *config.run_folder.absolute().parents) if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise EdgeSamError(f"{config.run_folder}: cannot be written; --output names another place")


def _write_run_folder(config: RunConfig, name: str, text: str) -> None:
    try:
        config.run_folder.mkdir(parents=True, exist_ok=True)
        write_atomically(config.run_folder / name, text)
    except OSError as error:
        raise EdgeSamError(
            f"{config.run_folder}: cannot be written ({error.strerror}); --output names another place"
        ) from error
