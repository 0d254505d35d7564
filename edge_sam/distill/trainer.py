"""The training loop. It knows nothing of distillation: a task gives named, weighted losses, and their sum goes down."""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from edge_sam.data.sa1b import Batch, Refusal
from edge_sam.data.sampler import ResumableSampler
from edge_sam.distill.run_folder import Progress, RunFolder
from edge_sam.distill.schedule import LearningRate
from edge_sam.distill.stop_signal import StopSignal
from edge_sam.distill.training_checkpoint import TrainingCheckpoint, epoch_file, remove_step_files, step_file
from edge_sam.distill.validation import Validation
from edge_sam.distributed import World, barrier, gather_objects
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state


class Task(Protocol):
    """What the trainer needs of a task, an ``nn.Module`` called with a batch and the number of batches before it."""

    student: nn.Module
    """What is saved."""
    skips_parameters: bool
    """Whether a step may leave trainable parameters without a gradient."""


@dataclass(frozen=True)
class TrainerSettings:
    """How to train.

    Attributes:
        epochs: passes over the data.
        accumulation_steps: batches an optimizer step.
        clip_grad: largest gradient norm; 0 for none.
        amp: bf16 autocast over task and losses.
        print_freq: steps between two lines.
        save_steps: steps between two checkpoints in the middle of an epoch; 0 for none.
        max_bad_share: share of broken images at which the run stops.
    """

    epochs: int
    accumulation_steps: int = 1
    clip_grad: float = 0.0
    amp: bool = False
    print_freq: int = 10
    save_steps: int = 0
    max_bad_share: float = 1.0


class Trainer:
    """One run of a task, from wherever ``sampler`` stands to the last epoch.

    Args:
        task: an ``nn.Module``, see :class:`Task`, on ``world.device``.
        optimizer: over its trainable parameters.
        rate: of the optimizer, by step; each of its groups has a ``lr_scale``.
        loader: batches of ``sampler``'s images.
        sampler: the position of the run.
        folder: where everything goes.
        world: the processes.
        settings: how to train.
        config: resolved configuration as plain values, for the checkpoints.
        teacher_sha256: of the file whose embeddings are read, or empty; for the checkpoints.
        validation: between epochs; None for none.
    """

    def __init__(
        self,
        task: Any,  # noqa: ANN401 - an nn.Module that is a Task: Python has no intersection type
        optimizer: Optimizer,
        rate: LearningRate,
        loader: "DataLoader[Any]",
        sampler: ResumableSampler,
        folder: RunFolder,
        world: World,
        settings: TrainerSettings,
        config: dict[str, Any],
        teacher_sha256: str,
        validation: Validation | None = None,
    ) -> None:
        self.task = task
        self.model = task
        self.optimizer = optimizer
        self.rate = rate
        self.loader = loader
        self.sampler = sampler
        self.folder = folder
        self.world = world
        self.settings = settings
        self.config = config
        self.teacher_sha256 = teacher_sha256
        self.validation = validation
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.window = _Window()

    @property
    def steps_in_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.sampler.batches_per_epoch // self.settings.accumulation_steps

    @property
    def step(self) -> int:
        """Optimizer steps done: a function of the position in the data."""
        images = self.sampler.global_batch * self.settings.accumulation_steps
        return self.sampler.epoch * self.steps_in_epoch + self.sampler.images_seen // images

    def _progress(self, epoch: int) -> Progress:
        return Progress(self.step, self.sampler.epoch * self.sampler.length + self.sampler.images_seen, epoch)

    def run(self, stop: StopSignal) -> bool:
        """Train to the end.

        Returns:
            False: asked to stop; the position is saved.

        Raises:
            EdgeSamError: a loss that is no number, or too many broken images.
        """
        if self.world.size > 1:
            self.model = _distributed(self.task, self.world.device)
        self.folder.begin(self._progress(self.sampler.epoch), self.settings.epochs * self.steps_in_epoch)
        self._complete_last_epoch()
        self.window = _Window()
        while self.sampler.epoch < self.settings.epochs:
            epoch = self.sampler.epoch
            self._train_epoch(stop)
            if self.sampler.epoch == epoch:
                self._save(step_file(self.step))
            else:
                self._save(epoch_file(epoch))
            if stop.agreed(self.world.device):
                barrier()
                return False
            self._validate(epoch)
            self.folder.say_refusals()
        return True

    def _complete_last_epoch(self) -> None:
        """Make up for what is missing of an epoch whose end is where the run goes on: its checkpoint, its validation.

        A kill came between, or the run goes on from a checkpoint of another folder, or with a larger batch.
        """
        last = self.sampler.epoch - 1
        if self.sampler.images_seen or last < 0:
            return
        if not (self.folder.path / epoch_file(last)).is_file():
            self._save(epoch_file(last))
        if not self.folder.has_score(last):
            self._validate(last)

    def _train_epoch(self, stop: StopSignal) -> None:
        """Go to the end of the epoch, or to the end of the step in which the stop is asked for."""
        epoch = self.sampler.epoch
        self._leave_incomplete_step_out(epoch)  # a run that goes on may have larger steps than before
        if self.sampler.epoch > epoch:
            return
        batches = iter(self.loader)
        while True:
            losses = self._train_step(batches)
            self.sampler.advance(self.settings.accumulation_steps)
            self._leave_incomplete_step_out(epoch)
            self.window.add_losses(losses)
            if self.step % self.settings.print_freq == 0 or self.sampler.epoch > epoch:
                self._report(epoch)
            if self.sampler.epoch > epoch or (self._is_stop_due() and stop.agreed(self.world.device)):
                return
            if self.settings.save_steps and self.step % self.settings.save_steps == 0:
                self._save(step_file(self.step))

    def _is_stop_due(self) -> bool:
        """Whether to look for a stop after this step: several processes must ask one another, which is not for free."""
        return self.world.size == 1 or self.step % self.settings.print_freq == 0

    def _leave_incomplete_step_out(self, epoch: int) -> None:
        """End ``epoch`` where its rest fills no optimizer step."""
        if self.sampler.epoch == epoch and self.sampler.batches_left < self.settings.accumulation_steps:
            self.sampler.set_position(epoch + 1)

    def _train_step(self, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """Make one optimizer step and return the losses, means over its batches."""
        accumulated = self.settings.accumulation_steps
        first_batch = self.sampler.epoch * self.sampler.batches_per_epoch
        first_batch += self.sampler.images_seen // self.sampler.global_batch
        image_ids: list[str] = []
        means: dict[str, Tensor] = {}
        for number in range(accumulated):
            batch = _next(batches).to(self.world.device, non_blocking=True)
            waits = self.world.size > 1 and number + 1 < accumulated
            with self.model.no_sync() if waits else nullcontext():
                with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.settings.amp):
                    losses = self.model(batch, first_batch + number)
                loss = torch.stack(list(losses.values())).sum() / accumulated
                loss.backward()  # type: ignore[no-untyped-call]
            for name, value in {**losses, "loss": loss * accumulated}.items():
                means[name] = means.get(name, 0) + value.detach() / accumulated
            image_ids += batch.image_ids
            self.window.add_batch(batch)
        self._update(means["loss"], image_ids)
        return means

    def _update(self, loss: Tensor, image_ids: list[str]) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_grad or math.inf).item()
        if not math.isfinite(norm):  # gradients are means over processes, so all of them come here together
            self._refuse_step(float(loss), image_ids)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate.at(self.step) * group["lr_scale"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.window.gradient_norm = norm

    def _refuse_step(self, loss: float, image_ids: list[str]) -> None:
        found = gather_objects((loss, image_ids))
        culprits = [ids for value, ids in found if not math.isfinite(value)] or [ids for _, ids in found]
        named = ", ".join(image_id for ids in culprits for image_id in ids)
        raise EdgeSamError(
            f"step {self.step}: the loss or its gradient is not finite (losses {[value for value, _ in found]}); "
            f"images {named}; a lower TRAIN.BASE_LR, or AMP_ENABLE off, may help; nothing of this step was saved"
        )

    def _report(self, epoch: int) -> None:
        """Say and record what happened since the last line."""
        window, self.window = self.window, _Window()
        found = gather_objects(window.mean_losses())
        losses = {
            name: sum(one[name] for one in found if name in one) / sum(name in one for one in found)
            for name in dict.fromkeys(name for one in found for name in one)
        }
        broken = self.folder.refuse(window.refusals, "train")
        speed = window.images * self.world.size / window.seconds()
        rate = self.rate.at(self.step - 1)
        left = (self.settings.epochs * self.steps_in_epoch - self.step) * window.seconds() / window.steps
        numbers = {**losses, "learning_rate": rate, "gradient_norm": window.gradient_norm, "images_per_second": speed}
        if self.world.device.type == "cuda":
            numbers["peak_gigabytes"] = torch.cuda.max_memory_allocated() / 2**30
        self.folder.record(self._progress(epoch), "train", numbers)
        in_epoch = self.step - epoch * self.steps_in_epoch
        shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items() if len(losses) > 2 or name != "loss")
        self.folder.say(
            f"epoch {epoch} step {in_epoch}/{self.steps_in_epoch}  {shown}  lr {rate:.3g}  "
            f"{speed:.1f} images/s  {_duration(left)} left"
        )
        self.folder.advance(self.step, f"epoch {epoch}, {_duration(left)} left")
        if broken > self.settings.max_bad_share * self.sampler.length:
            raise EdgeSamError(
                f"{broken} of {self.sampler.length} images are broken, more than DATA.MAX_BAD_SHARE "
                f"{self.settings.max_bad_share}: see {self.folder.path / 'refused.jsonl'}"
            )

    def _validate(self, epoch: int) -> None:
        if self.validation is None:
            return
        scores, refusals = self.validation.measure()
        self.folder.refuse(refusals, "val")
        best = self.folder.record_score(self._progress(epoch), scores)
        shown = " ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self.folder.say(f"epoch {epoch} mIoU  {shown}{'  (best so far)' if best else ''}")
        self.window = _Window()

    def _save(self, name: str) -> None:
        if self.world.is_main:
            checkpoint = TrainingCheckpoint(
                {key: tensor.detach().cpu().contiguous() for key, tensor in official_state(self.task.student).items()},
                self.optimizer.state_dict(),
                self.step,
                self.sampler.state_dict(),
                self.config,
                self.teacher_sha256,
            )
            checkpoint.save(self.folder.path / name)
            remove_step_files(self.folder.path, keep=name)
        self.folder.say(f"saved {self.folder.path / name}")


class _Window:
    """What happened since the last line. Losses stay on the device until somebody looks."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.steps = 0
        self.images = 0
        self.gradient_norm = 0.0
        self.refusals: list[Refusal] = []
        self._losses: dict[str, list[Tensor]] = {}

    def add_batch(self, batch: Batch) -> None:
        self.images += len(batch)
        self.refusals += batch.refusals

    def add_losses(self, losses: dict[str, Tensor]) -> None:
        self.steps += 1
        for name, value in losses.items():
            self._losses.setdefault(name, []).append(value)

    def mean_losses(self) -> dict[str, float]:
        return {name: torch.stack(values).mean().item() for name, values in self._losses.items()}

    def seconds(self) -> float:
        return max(time.monotonic() - self.started, 1e-9)


def _next(batches: Iterator[Batch]) -> Batch:
    try:
        return next(batches)
    except EdgeSamError as error:  # of a worker, which puts its whole traceback before the message
        raise EdgeSamError(str(error).strip().rpartition("EdgeSamError: ")[2]) from error


def _distributed(task: nn.Module, device: torch.device) -> DistributedDataParallel:
    return DistributedDataParallel(
        task,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        find_unused_parameters=bool(task.skips_parameters),
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
