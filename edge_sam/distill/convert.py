"""From a training checkpoint to one SAM-format file with official EdgeSAM names, which other software loads."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from edge_sam.arguments import run_command
from edge_sam.config import RunConfig
from edge_sam.distill.training_checkpoint import TrainingCheckpoint
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import (
    file_sha256,
    load_official,
    load_prompt_and_mask_decoder,
    official_state,
    save_state,
)
from edge_sam.modeling.network_settings import network_settings_note
from edge_sam.modeling.packed_weights import pack_weights
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import Sam

TEACHER = "weights/sam_vit_h_4b8939.pth"


def convert(checkpoint: Path, encoder_only: bool, teacher: Path, suffix: str = ".pth", int8: bool = False) -> Path:
    """Write ``<checkpoint>_model<suffix>`` beside a training checkpoint.

    Args:
        checkpoint: what a training run saved.
        encoder_only: True: it is of phase 1, and its encoder is joined with the teacher's prompt encoder and mask
            decoder. False: it is of phase 2, whole, and only what belongs to training is left behind.
        teacher: whole SAM-format checkpoint; read only with ``encoder_only``.
        suffix: ``.pth`` or ``.safetensors``; either says which network it is of.
        int8: round the large weights to int8, a quarter of the bytes; needs ``.safetensors``.

    Returns:
        The file written.

    Raises:
        EdgeSamError: not a training checkpoint, one of the other phase, or a teacher that does not fit.
    """
    if int8 and suffix != ".safetensors":
        raise ValueError(f"int8 weights are read from .safetensors alone, not from {suffix}")
    found = TrainingCheckpoint.load(checkpoint)
    config = _settings_of(found, checkpoint)
    if encoder_only != config.DISTILL.ENCODER_ONLY:
        what, advice = ("an encoder alone", "add") if config.DISTILL.ENCODER_ONLY else ("a whole model", "leave out")
        raise EdgeSamError(f"{checkpoint}: a checkpoint of {what}: {advice} --encoder-only")
    sam = _build(config)
    if encoder_only:
        _expect_teacher(found, config, teacher, checkpoint)
        load_official(sam.image_encoder, found.model, str(checkpoint))
        load_prompt_and_mask_decoder(sam.prompt_encoder, sam.mask_decoder, teacher)
    else:
        load_official(sam, found.model, str(checkpoint))
    target = checkpoint.with_name(f"{checkpoint.stem}_model{suffix}")
    state = official_state(sam)
    save_state(pack_weights(state) if int8 else state, target, network_settings_note(found.config))
    return target


def _settings_of(found: TrainingCheckpoint, checkpoint: Path) -> RunConfig:
    try:
        return RunConfig.model_validate(found.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise EdgeSamError(
            f"{checkpoint}: was saved by another version of this program, this one does not take its {key}: "
            f"{first['msg']}"
        ) from error


def _expect_teacher(found: TrainingCheckpoint, config: RunConfig, teacher: Path, checkpoint: Path) -> None:
    """Insist that the decoder is of the teacher whose embeddings the encoder learnt."""
    given = file_sha256(teacher)
    if found.teacher_sha256 != given:
        raise EdgeSamError(
            f"{checkpoint}: learnt from {config.DISTILL.TEACHER_CHECKPOINT} (SHA-256 {found.teacher_sha256}), but "
            f"{teacher} has {given}: name the teacher by --teacher FILE"
        )


def _build(config: RunConfig) -> Sam:
    distill = config.DISTILL
    return build_sam(config.MODEL.TYPE, config.DATA.IMG_SIZE, distill.FUSE, distill.UPSAMPLE_MODE)


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, convert, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", type=Path, help="ckpt_epoch_N.pth of a run folder")
    parser.add_argument(
        "--encoder-only", action="store_true", help="phase 1: join the encoder with the teacher's decoder"
    )
    parser.add_argument(
        "--teacher", type=Path, default=Path(TEACHER), help="whole SAM-format file (default: %(default)s)"
    )
    parser.add_argument("--safetensors", action="store_true", help="write .safetensors instead of .pth")
    parser.add_argument(
        "--int8", action="store_true", help="write .safetensors with the large weights as int8: a quarter of the size"
    )
    chosen = parser.parse_args(arguments)
    suffix = ".safetensors" if chosen.safetensors or chosen.int8 else ".pth"
    print(f"wrote {convert(chosen.checkpoint, chosen.encoder_only, chosen.teacher, suffix, chosen.int8)}")
