"""The commands of the guide for one data set, one small teacher and one folder, run one after the other."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from edge_sam.demo.child_process import run_child
from edge_sam.demo.journal import Journal
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256, read_state, split_state
from edge_sam.modeling.network_settings import read_network_settings

ROOT = Path(__file__).parents[2]
_CONFIGS = Path("training/configs")
PHASE_1 = _CONFIGS / "rep_vit_m1_fuse_sa_distill.yaml"
PHASE_2 = _CONFIGS / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill.yaml"
TEACHER = _CONFIGS / "teacher" / "edge_sam_sa1b.yaml"

_OF_NETWORK = {
    "MODEL.TYPE": "teacher_type",
    "DATA.IMG_SIZE": "image_size",
    "DISTILL.FUSE": "fuse",
    "DISTILL.UPSAMPLE_MODE": "upsample_mode",
}
"""What a file tells of its network, and what :class:`Chain` calls it."""

# What a reader types, and what stands for it here: this interpreter, whatever the path says.
_PROGRAMS = {"python": [sys.executable], "edgesam": [sys.executable, "-m", "edge_sam"]}


@dataclass(frozen=True)
class Chain:
    """The guide's steps at a small size, each a command that a reader could have typed in the repository's root.

    A command that has come to its end before and whose output is there is not run again.

    Attributes:
        data: folder in SA-1B layout.
        teacher: an EdgeSAM-format checkpoint made for ``image_size``.
        folder: where embeddings, run folders, evaluations and the journal go.
        teacher_type: ``MODEL.TYPE`` of the teacher.
        image_size: long side in pixels.
        fuse: ``DISTILL.FUSE`` of the teacher.
        upsample_mode: how the teacher's neck, and so the student's, upsamples.
        seed: of initial weights, order and prompts.
        train_images: the first so many by name are learnt from; -1 for all.
        announce: called with a step's name before it begins.
    """

    data: Path
    teacher: Path
    folder: Path
    teacher_type: str = "rep_vit_m1"
    image_size: int = 256
    fuse: bool = True
    upsample_mode: str = "bilinear"
    seed: int = 0
    train_images: int = -1
    announce: Callable[[str], None] = print

    @classmethod
    def for_teacher(cls, data: Path, teacher: Path, folder: Path, **settings: Any) -> Self:  # noqa: ANN401
        """Return the chain of a teacher's network; what the file does not tell of it has its default.

        Args:
            data: folder in SA-1B layout.
            teacher: the file; of a link, not what it leads to, whose name may have no suffix.
            folder: where everything goes.
            settings: the other attributes.

        Raises:
            EdgeSamError: as :func:`edge_sam.modeling.network_settings.read_network_settings`.
        """
        network = {_OF_NETWORK[key]: value for key, value in read_network_settings(teacher).items()}
        return cls(data.resolve(), teacher.absolute(), folder.resolve(), **network, **settings)

    @cached_property
    def journal(self) -> Journal:
        """What was run, and how long it took."""
        return Journal(self.folder / "steps.jsonl")

    def synthesize(self, split: str, images: int, seed: int) -> None:
        """Draw ``images`` pictures with masks into a split of the data folder."""
        self._run(
            f"synth {split}", self.data / "annotations" / split, "edgesam", "synth", "--images", images,
            "--seed", seed, "--split", split, "--out", typed(self.data),
        )  # fmt: skip

    def embed(self) -> None:
        """Store the teacher's embeddings; what is stored already stays."""
        self._run(
            "embed", self.folder / "teacher_embed" / "train", "python", "training/save_embedding.py",
            "--cfg", TEACHER, "--output", typed(self.folder / "output"), "--eval", "--resume", typed(self.teacher),
            *self._settings(*self._teacher_network(), *self._store(), *self._first_images()),
        )  # fmt: skip

    def phase_1(self, tag: str, batch_size: int, epochs: int, *options: str) -> Path:
        """Run phase 1 and return its last checkpoint; a finished run stays, a killed one goes on."""
        return self._train("phase 1", PHASE_1, tag, batch_size, epochs, "scratch", options)

    def phase_2(self, tag: str, batch_size: int, epochs: int, phase_1_checkpoint: Path, *options: str) -> Path:
        """Run phase 2 on top of a phase-1 checkpoint and return its last one."""
        return self._train("phase 2", PHASE_2, tag, batch_size, epochs, str(typed(phase_1_checkpoint)), options)

    def convert(self, checkpoint: Path) -> Path:
        """Write a checkpoint as a whole model and return the file; phase 1's gets the teacher's decoder."""
        target = checkpoint.with_name(f"{checkpoint.stem}_model.safetensors")
        phase = _phase(checkpoint)
        if target.is_file() and checkpoint.is_file() and target.stat().st_mtime < checkpoint.stat().st_mtime:
            target.unlink()  # of a checkpoint that was trained again since
        decoder = ("--encoder-only", "--teacher", typed(self.teacher)) if phase == "phase 1" else ()
        self._run(
            f"convert {phase}", target,
            "python", "scripts/convert_weights.py", typed(checkpoint), *decoder, "--safetensors",
        )  # fmt: skip
        return target

    def evaluate(self, checkpoint: Path, images: int, instances: int, *arguments: str) -> dict[str, Any]:
        """Evaluate a model by the guide's set of protocols and return what the JSON file holds."""
        if checkpoint == self.teacher:
            step, name, config, network = "evaluate teacher", "teacher", TEACHER, self._teacher_network()
        else:
            step, config, network = f"evaluate {_phase(checkpoint)}", PHASE_2, ()
            name = f"{_phase(checkpoint).replace(' ', '_')}_{checkpoint.parent.name}_{checkpoint.stem}"
        result = self.folder / "evaluation" / f"{name}_{images}x{instances}.json"
        if not _is_result_of(result, checkpoint):
            result.unlink(missing_ok=True)
        self._run(
            step, result, "python", "evaluation/eval_mIoU.py", config,
            "--checkpoint", typed(checkpoint), "--suite", "guide", "--output", typed(result),
            "--num-samples", images, "--num-instances", instances, *arguments, *self._settings(*network),
        )  # fmt: skip
        loaded: dict[str, Any] = json.loads(result.read_text())
        return loaded

    def _train(
        self, step: str, config: Path, tag: str, batch_size: int, epochs: int, start: str, options: tuple[str, ...]
    ) -> Path:
        output = self.folder / "output"
        last = output / config.stem / tag / f"ckpt_epoch_{epochs - 1}.pth"
        self._run(
            step, last, "python", "training/train.py", "--cfg", config,
            "--output", typed(output), "--tag", tag, "--batch-size", batch_size, "--pretrained", start,
            *self._settings(
                "DISTILL.TEACHER_CHECKPOINT", str(typed(self.teacher)), *self._store(), *self._first_images(),
                *(("SEED", str(self.seed)) if self.seed else ()), "TRAIN.EPOCHS", str(epochs), *options,
            ),
        )  # fmt: skip
        return last

    def _teacher_network(self) -> tuple[str, ...]:
        return ("MODEL.TYPE", self.teacher_type) + (() if self.fuse else ("DISTILL.FUSE", "False"))

    def _store(self) -> tuple[str, ...]:
        return ("DISTILL.TEACHER_EMBED_PATH", str(typed(self.folder / "teacher_embed")))

    def _first_images(self) -> tuple[str, ...]:
        return () if self.train_images == -1 else ("DATA.NUM_SAMPLES", str(self.train_images))

    def _settings(self, *settings: str) -> list[str]:
        """What the guide's line lacks: another data folder, sizes for a small machine, and the teacher's upsampling."""
        upsampling = () if self.upsample_mode == "bicubic" else ("DISTILL.UPSAMPLE_MODE", self.upsample_mode)
        return [
            "--data-path", str(typed(self.data)), "--opts", "DATA.IMG_SIZE", str(self.image_size),
            "DATA.NUM_WORKERS", "2", *upsampling, *settings,
        ]  # fmt: skip

    def _run(self, step: str, output: Path, program: str, *arguments: str | Path | int) -> None:
        words = [str(argument) for argument in arguments]
        command = shlex.join([program, *words])
        self.announce(step)
        self.journal.walk(command)
        print(f"$ {command}", flush=True)
        if output.exists() and self.journal.has_finished(command):
            print("done before", flush=True)
            return
        with self.journal.timed(step, command):
            status = run_child([*_PROGRAMS[program], *words], ROOT)
            if status:
                raise EdgeSamError(f"{words[0]} ended with status {status}; its own message is above")


def expect_teacher(teacher: Path) -> None:
    """Insist that a file is a whole model that tells its network.

    Raises:
        EdgeSamError: no such file, or what it lacks.
    """
    if not teacher.is_file():
        raise EdgeSamError(f"{teacher}: no such teacher checkpoint; edgesam demo --teacher FILE names your own")
    missing = _OF_NETWORK.keys() - read_network_settings(teacher).keys()
    if missing:
        raise EdgeSamError(
            f"{teacher}: does not tell its {', '.join(sorted(missing))}; a file of scripts/convert_weights.py does"
        )
    parts = split_state(read_state(teacher))
    lacking = [part.replace("_", " ") for part in ("prompt_encoder", "mask_decoder") if not parts[part]]
    if lacking:
        raise EdgeSamError(
            f"{teacher}: holds no {' and no '.join(lacking)}: a teacher is a whole model, such as "
            "scripts/convert_weights.py --encoder-only makes of a checkpoint of phase 1"
        )


def _phase(checkpoint: Path) -> str:
    """Return which phase a file of a run folder is of."""
    return "phase 1" if PHASE_1.stem in checkpoint.parts else "phase 2"


def typed(path: Path) -> Path:
    """Return a path as one would type it in the repository's root."""
    path = path.absolute()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _is_result_of(result: Path, checkpoint: Path) -> bool:
    """Whether an evaluation's file speaks of this very checkpoint."""
    if not result.is_file():
        return False
    found: str = json.loads(result.read_text())["checkpoint"]["sha256"]
    return found == file_sha256(checkpoint)
