"""The command behind ``training/train.py``: a distillation or supervision, as the configuration says."""

import argparse
import signal
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader

from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.data.sampler import ResumableSampler
from edge_sam.distill.optimizer import build_optimizer, load_moments
from edge_sam.distill.resume import agree_on_position, expect_embedder, find_checkpoint
from edge_sam.distill.run_folder import RunFolder
from edge_sam.distill.schedule import LearningRate, batch_scale
from edge_sam.distill.stop_signal import ignore_stop_signals, on_stop_signals
from edge_sam.distill.tasks import build_task, describe_task, embedder_file
from edge_sam.distill.trainer import Trainer, TrainerSettings
from edge_sam.distill.training_data import TrainingData, open_training_data
from edge_sam.distill.validation import Validation
from edge_sam.distributed import World, agree_on_errors, barrier, gather_objects, process_group
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.sam import Sam


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="train.py", description=__doc__, allow_abbrev=False)
    add_run_arguments(parser, "batch", "folder", "resume", "training")
    config = config_from_arguments(parser.parse_args(arguments))
    with process_group(config.ONLY_CPU) as world:
        stopped_by = train(config, world)
        barrier()
    if stopped_by:
        raise SystemExit(128 + stopped_by)  # what comes after it in a script must not start


def train(config: RunConfig, world: World) -> int:
    """Run what the configuration says, from the start or from where its run folder stands.

    Returns:
        The number of the signal that stopped the run, with everything saved; 0 when it came to its end.

    Raises:
        EdgeSamError: settings, files or data that do not fit, each in one line.
    """
    torch.manual_seed(config.SEED)
    with agree_on_errors():
        folder = RunFolder(config, world)
        embedder = embedder_file(config)
        embedder_sha256 = file_sha256(embedder) if embedder and world.is_main else ""
    embedder_sha256 = gather_objects(embedder_sha256)[0]  # a large file, read by one process alone
    with agree_on_errors():
        dataset = open_training_data(config, embedder_sha256, folder.say)
        sampler = ResumableSampler(len(dataset), world.rank, world.size, config.DATA.BATCH_SIZE, config.SEED)
        source, checkpoint = find_checkpoint(config, folder) or ("", None)
        if checkpoint is not None:
            expect_embedder(config, checkpoint, embedder_sha256)
        task, validated = build_task(config, checkpoint, folder.say)
        task.to(world.device).to(memory_format=torch.channels_last)
        validation = _build_validation(config, validated, world)
        trainer = _build_trainer(config, task, dataset, sampler, folder, world, embedder_sha256, validation)
        if checkpoint is not None:
            sampler.load_state_dict(checkpoint.sampler)
            load_moments(trainer.optimizer, checkpoint.optimizer, source)
        if trainer.steps_in_epoch == 0:
            raise EdgeSamError(f"{len(dataset)} images do not fill one step of TRAIN.ACCUMULATION_STEPS batches")
    agree_on_position(sampler)
    _announce(config, world, trainer, dataset, folder.say)
    with on_stop_signals() as stop:
        try:
            finished = trainer.run(stop)
        finally:
            folder.close()
    if finished:
        folder.say("done")
        return 0
    name = "Ctrl-C" if stop.number == signal.SIGINT else "SIGTERM"
    folder.say(f"stopped by {name}; the same command goes on from here")
    return stop.number


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
        warmup_steps=round(settings.WARMUP_EPOCHS * steps_in_epoch),
        curve=settings.LR_CURVE,
    )


def _build_trainer(
    config: RunConfig,
    task: nn.Module,
    dataset: TrainingData,
    sampler: ResumableSampler,
    folder: RunFolder,
    world: World,
    embedder_sha256: str,
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
        worker_init_fn=ignore_stop_signals,
    )
    steps_in_epoch = sampler.batches_per_epoch // settings.ACCUMULATION_STEPS
    images_in_step = sampler.global_batch * settings.ACCUMULATION_STEPS
    return Trainer(
        task,
        build_optimizer(task, settings.WEIGHT_DECAY, optimizer.BETAS, optimizer.EPS, settings.DECODER_LR_SCALE),
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
        embedder_sha256,
        validation,
    )


def _announce(
    config: RunConfig, world: World, trainer: Trainer, dataset: TrainingData, say: Callable[[str], None]
) -> None:
    """Say what is about to happen."""
    settings, rate = config.TRAIN, trainer.rate
    device = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "CPU"
    precision = "bf16 autocast" if config.AMP_ENABLE else "float32"
    where = f"{config.DATA.IMG_SIZE} px on {world.size} x {device}, {precision}"
    say(f"{describe_task(config)}: {config.MODEL.TYPE} at {where}")
    embeddings = f", embeddings of {config.DISTILL.TEACHER_EMBED_PATH}" if embedder_file(config) else ""
    say(
        f"{len(dataset)} images of {config.DATA.DATA_PATH}{embeddings}; "
        f"{settings.EPOCHS} epochs of {trainer.steps_in_epoch} steps; run folder {config.run_folder}"
    )
    images = trainer.sampler.global_batch * settings.ACCUMULATION_STEPS
    how = f"settings x {images} images a step / 512; TRAIN.LR_SCALE_BY_BATCH False takes them as they stand"
    if not settings.LR_SCALE_BY_BATCH:
        how = "the settings as they stand"
    say(f"learning rate: {rate.warmup:.3g} -> {rate.base:.3g} -> {rate.minimum:.3g} ({how}); {settings.LR_CURVE} curve")
    if settings.DECODER_LR_SCALE != 1:
        say(f"prompt encoder and mask decoder learn at {settings.DECODER_LR_SCALE:g} times that rate")
    if settings.WARMUP_EPOCHS >= settings.EPOCHS:
        within = f"TRAIN.WARMUP_EPOCHS {settings.WARMUP_EPOCHS:g}, EPOCHS {settings.EPOCHS}"
        say(f"the run ends within its warm-up: {within}")
    if trainer.step:
        say(f"{trainer.step} steps are done")
