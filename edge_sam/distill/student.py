"""The student, with the weights that a run starts from."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from edge_sam.config import RunConfig
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import (
    load_imagenet_weights,
    load_official,
    load_student_encoder,
    read_state,
    split_state,
)
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.network_settings import expect_network_settings, read_network_settings
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.registry import build_decoder, build_image_encoder
from edge_sam.modeling.sam import Sam


def build_encoder(config: RunConfig) -> nn.Module:
    """Return the student's image encoder with fresh weights."""
    distill = config.DISTILL
    return build_image_encoder(
        config.MODEL.TYPE, config.DATA.IMG_SIZE, distill.FUSE, distill.UPSAMPLE_MODE, config.TRAIN.USE_CHECKPOINT
    )


def load_start_weights(encoder: nn.Module, config: RunConfig) -> str:
    """Load what MODEL.PRETRAINED names.

    Returns:
        What was loaded, for the log.

    Raises:
        EdgeSamError: it names nothing, or what it names does not fit.
    """
    pretrained = config.MODEL.PRETRAINED
    if not pretrained:
        raise EdgeSamError(
            "MODEL.PRETRAINED is empty: say where the student starts (--pretrained): imagenet, scratch, or a file"
        )
    if pretrained == "imagenet":
        return load_imagenet_weights(encoder)
    if pretrained == "scratch":
        return "fresh weights (scratch)"
    try:
        _expect_same_network(config)
        return load_student_encoder(encoder, pretrained)
    except EdgeSamError as error:
        raise EdgeSamError(f"MODEL.PRETRAINED (imagenet, scratch or a file): {error}") from error


def _expect_same_network(config: RunConfig) -> None:
    """Insist that MODEL.PRETRAINED is of the network that is trained, at the size that it is said to be of."""
    settings, model = config.model_dump(mode="json"), config.MODEL
    size, told = config.DATA.IMG_SIZE, read_network_settings(model.PRETRAINED).get("DATA.IMG_SIZE")
    said = model.PRETRAINED_IMG_SIZE or size
    if told not in (None, said):
        advice = f"MODEL.PRETRAINED_IMG_SIZE {told}"
        if model.PRETRAINED_IMG_SIZE is None:
            advice = f"DATA.IMG_SIZE {told}, or to go on from it at {size} px {advice}"
        raise EdgeSamError(
            f"{model.PRETRAINED}: was trained with DATA.IMG_SIZE {told}, not {said}: add --opts {advice}"
        )
    settings["DATA"]["IMG_SIZE"] = said
    expect_network_settings(model.PRETRAINED, settings)


def build_student_sam(config: RunConfig) -> Sam:
    """Return a whole student with fresh weights, frozen as DISTILL.FREEZE_* say.

    Raises:
        EdgeSamError: nothing is left to train.
    """
    distill = config.DISTILL
    student = Sam(build_encoder(config), *build_decoder(config.DATA.IMG_SIZE))
    frozen = {
        student.image_encoder: distill.FREEZE_IMAGE_ENCODER,
        student.prompt_encoder: distill.FREEZE_PROMPT_ENCODER,
        student.mask_decoder: distill.FREEZE_MASK_DECODER,
    }
    for part, freeze in frozen.items():
        part.requires_grad_(not freeze)
    if all(frozen.values()):
        raise EdgeSamError(
            "DISTILL.FREEZE_IMAGE_ENCODER, _PROMPT_ENCODER and _MASK_DECODER are all set: nothing to train"
        )
    return student


def load_sam_start_weights(
    student: Sam, teacher: tuple[PromptEncoder, MaskDecoder] | None, config: RunConfig, say: Callable[[str], None]
) -> None:
    """Load the encoder of MODEL.PRETRAINED, and a decoder: the teacher's, the same file's, or none.

    Args:
        student: whole model with fresh weights.
        teacher: None where there is none (DISTILL.TARGET masks): then ``scratch`` and ``imagenet`` leave the decoder
            fresh.
        config: of the run.
        say: is told what was loaded.

    Raises:
        EdgeSamError: as :func:`load_start_weights`; or no file has a decoder to start from.
    """
    pretrained = config.MODEL.PRETRAINED
    say(f"student encoder: {load_start_weights(student.image_encoder, config)}")
    if teacher is not None and config.DISTILL.INIT_FROM_TEACHER:
        for own, part in zip((student.prompt_encoder, student.mask_decoder), teacher, strict=True):
            own.load_state_dict(part.state_dict())
        say(f"student prompt encoder and mask decoder: those of {config.DISTILL.TEACHER_CHECKPOINT}")
    elif teacher is None and pretrained in ("scratch", "imagenet"):
        say("student prompt encoder and mask decoder: fresh weights")
    else:
        _load_decoder_of_file(student, config)
        say(f"student prompt encoder and mask decoder: those of {pretrained}")


def _load_decoder_of_file(student: Sam, config: RunConfig) -> None:
    pretrained = config.MODEL.PRETRAINED
    parts = split_state(read_state(pretrained)) if Path(pretrained).is_file() else {}
    if not parts.get("mask_decoder"):
        if config.DISTILL.TARGET == "masks":
            raise EdgeSamError(
                f"MODEL.PRETRAINED {pretrained} has no mask decoder: learning from masks starts from a whole model "
                "(scripts/convert_weights.py makes one of phase 1's checkpoint), from imagenet, or from scratch"
            )
        raise EdgeSamError(
            f"DISTILL.INIT_FROM_TEACHER is false and MODEL.PRETRAINED {pretrained} has no mask decoder: "
            "set the one true, or the other to a whole model"
        )
    load_official(student.prompt_encoder, parts["prompt_encoder"], pretrained)
    load_official(student.mask_decoder, parts["mask_decoder"], pretrained)
