"""The commands of the guide for one data set, one small teacher and one folder, run one after the other."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sam.errors import EdgeSamError

ROOT = Path(__file__).parents[2]
_CONFIGS = Path("training/configs")
PHASE_1 = _CONFIGS / "rep_vit_m1_fuse_sa_distill.yaml"
PHASE_2 = _CONFIGS / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill.yaml"


@dataclass(frozen=True)
class Chain:
    """The guide's steps at a small size, each a command that a reader could have typed.

    Attributes:
        data: folder in SA-1B layout.
        teacher: an EdgeSAM-format checkpoint (RepViT-M1) made for ``image_size``.
        folder: where embeddings and run folders go.
        image_size: long side in pixels.
        upsample_mode: how the teacher's neck, and so the student's, upsamples.
        seed: of initial weights, order and prompts.
        options: further ``KEY, VALUE, ...`` for every step.
    """

    data: Path
    teacher: Path
    folder: Path
    image_size: int = 256
    upsample_mode: str = "bilinear"
    seed: int = 0
    options: tuple[str, ...] = field(default=())

    def embed(self) -> None:
        """Store the teacher's embeddings; what is stored already stays."""
        config = _CONFIGS / "teacher" / "edge_sam_sa1b.yaml"
        self._run(
            "training/save_embedding.py", "--cfg", config, "--output", self.folder / "output", "--eval",
            "--resume", self.teacher, *self._settings(),
        )  # fmt: skip

    def phase_1(self, tag: str, batch_size: int, *options: str) -> Path:
        """Run phase 1 and return its run folder; a finished run stays, a killed one goes on."""
        return self._train(PHASE_1, tag, batch_size, "scratch", options)

    def convert(self, checkpoint: Path) -> Path:
        """Join a phase-1 encoder with the teacher's decoder and return the file."""
        self._run("scripts/convert_weights.py", checkpoint, "--encoder-only", "--teacher", self.teacher)
        return checkpoint.with_name(f"{checkpoint.stem}_model.pth")

    def phase_2(self, tag: str, batch_size: int, phase_1_checkpoint: Path, *options: str) -> Path:
        """Run phase 2 on top of a phase-1 checkpoint and return its run folder."""
        return self._train(PHASE_2, tag, batch_size, str(phase_1_checkpoint), options)

    def evaluate(self, checkpoint: Path, images: int, instances: int, *arguments: str) -> dict[str, Any]:
        """Evaluate by the guide's set of protocols and return what the JSON file holds."""
        result = self.folder / "evaluation" / f"{checkpoint.parent.name}_{checkpoint.stem}_{images}x{instances}.json"
        result.parent.mkdir(parents=True, exist_ok=True)
        self._run(
            "evaluation/eval_mIoU.py", PHASE_2, "--checkpoint", checkpoint, "--suite", "guide", "--output", result,
            "--num-samples", images, "--num-instances", instances,
            *arguments, *self._settings(),
        )  # fmt: skip
        loaded: dict[str, Any] = json.loads(result.read_text())
        return loaded

    def _train(self, config: Path, tag: str, batch_size: int, start: str, options: tuple[str, ...]) -> Path:
        output = self.folder / "output"
        self._run(
            "training/train.py", "--cfg", config, "--output", output, "--tag", tag, "--batch-size", batch_size,
            "--pretrained", start, *self._settings(*options),
        )  # fmt: skip
        return output / config.stem / tag

    def _settings(self, *options: str) -> list[str]:
        """What the guide's line lacks: another data folder, and sizes for a small machine."""
        return [
            "--data-path", str(self.data), "--opts", "DATA.IMG_SIZE", str(self.image_size), "DATA.NUM_WORKERS", "2",
            "SEED", str(self.seed), "DISTILL.UPSAMPLE_MODE", self.upsample_mode,
            "DISTILL.TEACHER_CHECKPOINT", str(self.teacher),
            "DISTILL.TEACHER_EMBED_PATH", str(self.folder / "teacher_embed"), *self.options, *options,
        ]  # fmt: skip

    @staticmethod
    def _run(*arguments: str | Path | int) -> None:
        command = [str(argument) for argument in arguments]
        print("\n$ python " + shlex.join(command), flush=True)
        done = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
        if done.returncode:
            raise EdgeSamError(f"{command[0]} ended with status {done.returncode}; its own message is above")
