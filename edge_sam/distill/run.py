"""The command behind ``training/train.py``: from a configuration to one of the two distillations."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.data.sampler import ResumableSampler
from edge_sam.distill.encoder_distillation import EncoderDistillation
from edge_sam.distill.optimizer import build_optimizer, load_moments
from edge_sam.distill.prompt_distillation import PromptDistillation, PromptLoop, PromptLossWeights
from edge_sam.distill.run_folder import RunFolder
from edge_sam.distill.schedule import LearningRate, batch_scale
from edge_sam.distill.stop_signal import ignore_sigterm, on_sigterm
from edge_sam.distill.student import (
    build_encoder,
    build_student_sam,
    load_sam_start_weights,
    load_start_weights,
)
from edge_sam.distill.trainer import Trainer, TrainerSettings
from edge_sam.distill.training_checkpoint import TrainingCheckpoint, checkpoint_files, find_newest
from edge_sam.distill.validation import Validation
from edge_sam.distributed import World, agree_on_errors, barrier, gather_objects, process_group
from edge_sam.embeddings.dataset import WithTeacherEmbedding
from edge_sam.embeddings.images import PREPROCESSING
from edge_sam.embeddings.store import EmbeddingStore
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256, load_official, load_prompt_and_mask_decoder
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.registry import build_decoder
from edge_sam.modeling.sam import Sam

_STOPPED = 143
"""Exit status of a run that SIGTERM ended: what comes after it in a script must not start."""


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="train.py", description=__doc__, allow_abbrev=False)
    add_run_arguments(parser, "batch", "folder", "resume", "training")
    config = config_from_arguments(parser.parse_args(arguments))
    with process_group(config.ONLY_CPU) as world:
        finished = train(config, world)
        barrier()
    if not finished:
        raise SystemExit(_STOPPED)


def train(config: RunConfig, world: World) -> bool:
    """Run phase 1 or phase 2, from the start or from where its run folder stands.

    Returns:
        False: stopped by SIGTERM, with everything saved.

    Raises:
        EdgeSamError: settings, files or data that do not fit, each in one line.
    """
    torch.manual_seed(config.SEED)
    with agree_on_errors():
        folder = RunFolder(config, world)
        teacher_sha256 = file_sha256(config.DISTILL.TEACHER_CHECKPOINT) if world.is_main else ""
    teacher_sha256 = gather_objects(teacher_sha256)[0]  # a large file, read by one process alone
    with agree_on_errors():
        dataset = _open_data(config, teacher_sha256, folder.say)
        sampler = ResumableSampler(len(dataset), world.rank, world.size, config.DATA.BATCH_SIZE, config.SEED)
        source, checkpoint = _find_checkpoint(config, folder) or ("", None)
        models = _build_models(config, checkpoint, folder.say)
        task, validated = _build_task(config, models)
        task.to(world.device).to(memory_format=torch.channels_last)
        validation = _build_validation(config, validated, world)
        trainer = _build_trainer(config, task, dataset, sampler, folder, world, teacher_sha256, validation)
        if checkpoint is not None:
            sampler.load_state_dict(checkpoint.sampler)
            load_moments(trainer.optimizer, checkpoint.optimizer, source)
        if trainer.steps_in_epoch == 0:
            raise EdgeSamError(f"{len(dataset)} images do not fill one step of TRAIN.ACCUMULATION_STEPS batches")
    _agree_on_position(sampler)
    _announce(config, world, trainer, dataset, folder.say)
    with on_sigterm() as stop:
        try:
            finished = trainer.run(stop)
        finally:
            folder.close()
    folder.say("done" if finished else "stopped by SIGTERM; the same command goes on from here")
    return finished


def _agree_on_position(sampler: ResumableSampler) -> None:
    """Insist that all processes go on from the same place: on several machines each looks into folders of its own."""
    found = gather_objects((sampler.epoch, sampler.images_seen, sampler.length))
    for rank, position in enumerate(found):
        if position != found[0]:
            here, there = ("epoch {}, image {} of {}".format(*place) for place in (found[0], position))
            raise EdgeSamError(
                f"process 0 stands at {here}, process {rank} at {there}: do all machines see the same --output and "
                "--data-path? (a network drive may need a moment)"
            )


@dataclass(frozen=True)
class _Models:
    """The student (phase 1: an image encoder; phase 2: a Sam) and the teacher's prompt encoder and mask decoder."""

    student: nn.Module
    teacher: tuple[PromptEncoder, MaskDecoder]


def _open_data(config: RunConfig, teacher_sha256: str, say: Callable[[str], None]) -> WithTeacherEmbedding:
    data, distill = config.DATA, config.DISTILL
    store = EmbeddingStore.open(Path(distill.TEACHER_EMBED_PATH) / "train")
    store.expect(
        {"teacher_sha256": teacher_sha256},
        remedy="set DISTILL.TEACHER_CHECKPOINT to the file that the store was made with, or DISTILL.TEACHER_EMBED_PATH "
        f"to a store of {distill.TEACHER_CHECKPOINT}",
    )
    store.expect(
        {"image_size": data.IMG_SIZE, "preprocessing": PREPROCESSING},
        remedy="set DISTILL.TEACHER_EMBED_PATH to a store made with that, by training/save_embedding.py",
    )
    dataset = Sa1bDataset(
        data.DATA_PATH,
        "train",
        data.IMG_SIZE,
        data.NUM_SAMPLES,
        with_annotations=not distill.ENCODER_ONLY,
        max_annotations=distill.MAX_ALLOWED_PROMPTS,
        clicks=_prompt_loop(config).clicks_in_step,
        filter_by_area=data.FILTER_BY_AREA,
        box_jitter=data.BOX_JITTER,
        seed=config.SEED,
    )
    joined = WithTeacherEmbedding(dataset, store)
    if dataset.unannotated:
        say(f"left out: {dataset.unannotated} images without an annotation file")
    if len(joined) < len(dataset):
        say(f"left out: {len(dataset) - len(joined)} images that the embedding pass refused")
    return joined


def _find_checkpoint(config: RunConfig, folder: RunFolder) -> tuple[str, TrainingCheckpoint] | None:
    """Return where to go on: the newest of the run folder, or MODEL.RESUME where that is farther."""
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


def _build_models(config: RunConfig, checkpoint: TrainingCheckpoint | None, say: Callable[[str], None]) -> _Models:
    student = build_encoder(config) if config.DISTILL.ENCODER_ONLY else build_student_sam(config)
    teacher = build_decoder(config.DATA.IMG_SIZE)
    load_prompt_and_mask_decoder(*teacher, config.DISTILL.TEACHER_CHECKPOINT)
    if checkpoint is not None:
        load_official(student, checkpoint.model, "the checkpoint to go on from")
    elif isinstance(student, Sam):
        load_sam_start_weights(student, teacher, config, say)
    else:
        say(f"student encoder: {load_start_weights(student, config)}")
    return _Models(student, teacher)


def _prompt_loop(config: RunConfig) -> PromptLoop:
    distill = config.DISTILL
    return PromptLoop(
        first_prompts=distill.PROMPT_TYPE,
        rounds=1 if distill.ENCODER_ONLY else distill.DECODE_ITERS,
        clicks=distill.POINTS_PER_REFINE_ITER,
        keep_box=distill.ITER_ON_BOX,
        masks_from_points=distill.MULTIMASK_OUTPUT,
        masks_from_boxes=distill.MULTIMASK_OUTPUT if distill.MULTIMASK_ON_BOX else 1,
        seed=config.SEED,
    )


def _build_task(config: RunConfig, models: _Models) -> tuple[nn.Module, Sam]:
    """Return the task, and the whole model that is validated."""
    distill = config.DISTILL
    if not isinstance(models.student, Sam):
        return EncoderDistillation(models.student, distill.PIXEL_WISE), Sam(models.student, *models.teacher)
    weights = PromptLossWeights(
        distill.DECODER_BCE, distill.DECODER_DICE, distill.DECODER_FOCAL, distill.DECODER_IOU, distill.PIXEL_WISE
    )
    temperature = distill.TEMPERATURE if distill.USE_TEACHER_LOGITS else None
    loop = _prompt_loop(config)
    return PromptDistillation(models.student, *models.teacher, loop, weights, temperature), models.student


def _build_validation(config: RunConfig, sam: Sam, world: World) -> Validation | None:
    data, validation = config.DATA, config.VALIDATION
    if validation.NUM_IMAGES == 0:
        return None
    try:
        dataset = Sa1bDataset(data.DATA_PATH, "val", data.IMG_SIZE, validation.NUM_IMAGES, keep_annotations=True)
    except EdgeSamError as error:
        raise EdgeSamError(f"{error}; VALIDATION.NUM_IMAGES 0 trains without validation") from error
    sam.to(world.device)
    return Validation(
        sam, dataset, world, data.BATCH_SIZE, validation.NUM_INSTANCES, data.NUM_WORKERS, config.AMP_ENABLE
    )


def learning_rate(config: RunConfig, steps_in_epoch: int, images_in_step: int) -> LearningRate:
    """Return the run's rate by step; ``images_in_step`` counts all processes and accumulated batches."""
    settings = config.TRAIN
    scale = batch_scale(images_in_step) if settings.LR_SCALE_BY_BATCH else 1.0
    return LearningRate(
        base=settings.BASE_LR * scale,
        warmup=settings.WARMUP_LR * scale,
        minimum=settings.MIN_LR * scale,
        steps=settings.EPOCHS * steps_in_epoch,
        warmup_steps=settings.WARMUP_EPOCHS * steps_in_epoch,
        curve=settings.LR_CURVE,
    )


def _build_trainer(
    config: RunConfig,
    task: nn.Module,
    dataset: WithTeacherEmbedding,
    sampler: ResumableSampler,
    folder: RunFolder,
    world: World,
    teacher_sha256: str,
    validation: Validation | None,
) -> Trainer:
    settings, data, optimizer = config.TRAIN, config.DATA, config.TRAIN.OPTIMIZER
    if settings.USE_SYNC_BN and world.device.type == "cuda":
        task = nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
    elif settings.USE_SYNC_BN:
        folder.say("batch statistics stay those of each process: SyncBatchNorm (USE_SYNC_BN) exists on CUDA only")
    loader = DataLoader(
        dataset,
        batch_size=data.BATCH_SIZE,
        sampler=sampler,
        num_workers=data.NUM_WORKERS,
        collate_fn=collate,
        pin_memory=data.PIN_MEMORY and world.device.type == "cuda",
        drop_last=True,
        persistent_workers=data.NUM_WORKERS > 0,
        worker_init_fn=ignore_sigterm,
    )
    steps_in_epoch = sampler.batches_per_epoch // settings.ACCUMULATION_STEPS
    images_in_step = sampler.global_batch * settings.ACCUMULATION_STEPS
    return Trainer(
        task,
        build_optimizer(task, settings.WEIGHT_DECAY, optimizer.BETAS, optimizer.EPS),
        learning_rate(config, steps_in_epoch, images_in_step),
        loader,
        sampler,
        folder,
        world,
        TrainerSettings(
            epochs=settings.EPOCHS,
            accumulation_steps=settings.ACCUMULATION_STEPS,
            clip_grad=settings.CLIP_GRAD,
            amp=config.AMP_ENABLE,
            print_freq=config.PRINT_FREQ,
            save_steps=settings.SAVE_STEPS,
            max_bad_share=data.MAX_BAD_SHARE,
        ),
        config.model_dump(mode="json"),
        teacher_sha256,
        validation,
    )


def _announce(
    config: RunConfig, world: World, trainer: Trainer, dataset: WithTeacherEmbedding, say: Callable[[str], None]
) -> None:
    """Say what is about to happen."""
    settings, rate = config.TRAIN, trainer.rate
    device = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "CPU"
    precision = "bf16 autocast" if config.AMP_ENABLE else "float32"
    phase = "phase 1, encoder" if config.DISTILL.ENCODER_ONLY else "phase 2, prompts in the loop"
    say(f"{phase}: {config.MODEL.TYPE} at {config.DATA.IMG_SIZE} px on {world.size} x {device}, {precision}")
    say(
        f"{len(dataset)} images of {config.DATA.DATA_PATH}, embeddings of {config.DISTILL.TEACHER_EMBED_PATH}; "
        f"{settings.EPOCHS} epochs of {trainer.steps_in_epoch} steps; run folder {config.run_folder}"
    )
    images = trainer.sampler.global_batch * settings.ACCUMULATION_STEPS
    how = f"settings x {images} images a step / 512; TRAIN.LR_SCALE_BY_BATCH False takes them as they stand"
    if not settings.LR_SCALE_BY_BATCH:
        how = "the settings as they stand"
    say(f"learning rate: {rate.warmup:.3g} -> {rate.base:.3g} -> {rate.minimum:.3g} ({how}); {settings.LR_CURVE} curve")
    if settings.WARMUP_EPOCHS >= settings.EPOCHS:
        say(f"the run ends within its warm-up: TRAIN.WARMUP_EPOCHS {settings.WARMUP_EPOCHS}, EPOCHS {settings.EPOCHS}")
    if trainer.step:
        say(f"{trainer.step} steps are done")
