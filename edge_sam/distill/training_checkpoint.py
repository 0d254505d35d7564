"""A training run on disk: enough to go on as if nothing had happened, and readable as plain weights."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

import edge_sam
from edge_sam.config import RunConfig
from edge_sam.data.sampler import SamplerState
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import read_checkpoint, save_checkpoint

_FORMAT = 1
_CONTENT = ("model", "optimizer", "step", "sampler", "config", "teacher_sha256")
_FILE_NAME = re.compile(r"ckpt_(epoch|step)_(\d+)\.pth")

# What a run cannot change on its way; other settings may, and are named in the log.
_FIXED_SETTINGS = (
    "MODEL.TYPE",
    "DATA.IMG_SIZE",
    "DISTILL.TARGET",
    "DISTILL.ENCODER_ONLY",
    "DISTILL.FUSE",
    "DISTILL.UPSAMPLE_MODE",
    "DISTILL.FREEZE_IMAGE_ENCODER",
    "DISTILL.FREEZE_PROMPT_ENCODER",
    "DISTILL.FREEZE_MASK_DECODER",
    "SEED",
)

# Where a run writes and how fast it goes decide nothing about its weights.
_FREE_SETTINGS = (
    "MODEL.RESUME",
    "MODEL.PRETRAINED",
    "MODEL.PRETRAINED_IMG_SIZE",
    "OUTPUT",
    "TAG",
    "DATA.NUM_WORKERS",
    "DATA.PIN_MEMORY",
    "TRAIN.AUTO_RESUME",
    "TRAIN.SAVE_STEPS",
    "VALIDATION.NUM_IMAGES",
    "VALIDATION.NUM_INSTANCES",
    "PRINT_FREQ",
    "USE_WANDB",
)


@dataclass(frozen=True)
class TrainingCheckpoint:
    """Everything that decides how a run goes on; learning rate and randomness are functions of ``step`` and position.

    Attributes:
        model: tensors of the student with official names: phase 1 the image encoder alone, without prefix; phase 2 a
            whole SAM.
        optimizer: its state dict.
        step: optimizer steps done.
        sampler: position in the data order.
        config: the resolved configuration, as plain values.
        teacher_sha256: of the checkpoint whose embeddings were read, the teacher's; empty where none were.
    """

    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    step: int
    sampler: SamplerState
    config: dict[str, Any]
    teacher_sha256: str

    @property
    def images(self) -> int:
        """Images seen since the run's beginning: what says which of two checkpoints is farther.

        A step does not, for its images are as many as the processes and batches of that time.
        """
        return self.sampler["epoch"] * self.sampler["length"] + self.sampler["images_seen"]

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; it loads with ``weights_only=True``."""
        content = {
            "format": _FORMAT,
            "model": self.model,
            "optimizer": self.optimizer,
            "step": self.step,
            "sampler": dict(self.sampler),
            "config": self.config,
            "teacher_sha256": self.teacher_sha256,
            "versions": {"edge_sam": edge_sam.__version__, "torch": str(torch.__version__), "timm": timm.__version__},
        }
        save_checkpoint(content, path)

    @classmethod
    def load(cls, path: Path) -> "TrainingCheckpoint":
        """Read a file.

        Raises:
            EdgeSamError: no such file, corrupt, or weights without the state of a run.
        """
        content = read_checkpoint(path)
        if content.get("format") != _FORMAT or not isinstance(content.get("optimizer"), dict):
            raise EdgeSamError(
                f"{path}: not a training checkpoint but weights alone (a run starts from them with --pretrained)"
            )
        try:
            return cls(**{name: content[name] for name in _CONTENT})
        except KeyError as error:
            raise EdgeSamError(f"{path}: corrupt: it holds no {error}") from error

    def expect_settings(self, config: Mapping[str, Any], source: Path) -> list[str]:
        """Insist that the run which goes on is the one that was begun.

        Args:
            config: the configuration of now, as plain values.
            source: the file, for the error.

        Returns:
            Settings that differ and may: ``KEY old -> new``.

        Raises:
            EdgeSamError: naming the first setting that may not differ.
        """
        now = _flat(config)
        before = {**_flat(RunConfig().model_dump(mode="json")), **_flat(self.config)}  # older files lack newer keys
        changed = [key for key in now if before[key] != now[key]]
        for key in changed:
            if key in _FIXED_SETTINGS:
                found, wanted = before[key], now[key]
                raise EdgeSamError(
                    f"{source}: its run has {key} {found!r}, this one {wanted!r}: use the same, or another --tag"
                )
        return [f"{key} {before[key]!r} -> {now[key]!r}" for key in changed if key not in _FREE_SETTINGS]


def epoch_file(epoch: int) -> str:
    """Return the name of the checkpoint at the end of an epoch, counted from 0."""
    return f"ckpt_epoch_{epoch}.pth"


def step_file(step: int) -> str:
    """Return the name of a checkpoint in the middle of an epoch, after ``step`` optimizer steps."""
    return f"ckpt_step_{step}.pth"


def checkpoint_files(folder: Path) -> dict[str, list[Path]]:
    """Return a folder's training checkpoints, ``epoch`` and ``step``, the highest number first.

    Converted files (``*_model.pth``), the mark of the best one and half-written files are none.
    """
    found: dict[str, list[tuple[int, Path]]] = {"epoch": [], "step": []}
    for path in folder.glob("ckpt_*.pth"):
        match = _FILE_NAME.fullmatch(path.name)
        if match:
            found[match[1]].append((int(match[2]), path))
    return {kind: [path for _, path in sorted(files, reverse=True)] for kind, files in found.items()}


def find_newest(folder: Path, say: Callable[[str], None]) -> tuple[Path, TrainingCheckpoint] | None:
    """Load the checkpoint of a run folder that has seen most images; a broken one is named and passed over.

    Raises:
        EdgeSamError: there are checkpoints, and none can be read.
    """
    usable: list[tuple[Path, TrainingCheckpoint]] = []
    broken: list[str] = []
    for kind, files in checkpoint_files(folder).items():
        for path in files:
            try:
                usable.append((path, TrainingCheckpoint.load(path)))
            except EdgeSamError as error:
                broken.append(str(error))
                say(f"passed over: {error}")
                continue
            if kind == "epoch":  # their numbers tell which is farther, those of steps do not
                break
    if broken and not usable:
        raise EdgeSamError(f"{broken[0]} (and no other checkpoint in {folder} can be read; --tag starts a new run)")
    return max(usable, key=lambda found: found[1].images, default=None)


def remove_step_files(folder: Path, keep: str) -> None:
    """Delete the checkpoints of the middle of epochs but for the file named ``keep``."""
    for path in checkpoint_files(folder)["step"]:
        if path.name != keep:
            path.unlink()


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
