"""Models by name, as in ``MODEL.TYPE`` of a configuration."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import load_official, read_state
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import find_network
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.repvit import RepViTImageEncoder, UpsampleMode
from edge_sam.modeling.sam import Sam
from edge_sam.modeling.sam_vit import SamViTImageEncoder
from edge_sam.modeling.tiny_vit import TinyViTImageEncoder

_SAM_VIT: dict[str, Literal["base", "large", "huge"]] = {"vit_b": "base", "vit_l": "large", "vit_h": "huge"}
_REPVIT: dict[str, Literal["m1", "m2", "m3"]] = {f"rep_vit_{arch}": arch for arch in ("m1", "m2", "m3")}


def build_image_encoder(
    model_type: str,
    image_size: int = 1024,
    fuse: bool = True,
    upsample_mode: UpsampleMode = "bicubic",
    use_checkpoint: bool = False,
) -> nn.Module:
    """Build an image encoder with fresh weights.

    Args:
        model_type: ``vit_b``, ``vit_l``, ``vit_h`` (SAM), ``vit_t`` (MobileSAM) or ``rep_vit_m1``, ``rep_vit_m2``,
            ``rep_vit_m3`` (EdgeSAM).
        image_size: side of the square input, in pixels.
        fuse: EdgeSAM only, see :class:`RepViTImageEncoder`.
        upsample_mode: EdgeSAM only, see :class:`RepViTImageEncoder`.
        use_checkpoint: recompute activations in the backward pass.

    Raises:
        EdgeSamError: no such model, or an image size that the networks do not divide.
    """
    if image_size % 32 or image_size <= 0:
        raise EdgeSamError(f"image size {image_size} is not a multiple of 32")
    if model_type in _REPVIT:
        return RepViTImageEncoder(_REPVIT[model_type], image_size, fuse, upsample_mode, use_checkpoint)
    if model_type in _SAM_VIT:
        return SamViTImageEncoder(_SAM_VIT[model_type], image_size, use_checkpoint)
    if model_type == "vit_t":
        return TinyViTImageEncoder(image_size, use_checkpoint)
    raise EdgeSamError(f"{model_type}: no such model; known are {', '.join([*_SAM_VIT, 'vit_t', *_REPVIT])}")


def build_decoder(image_size: int) -> tuple[PromptEncoder, MaskDecoder]:
    """Build what follows the image encoder, which is the same in all models, for an input side in pixels."""
    side = image_size // 16
    return PromptEncoder(image_embedding_size=(side, side), input_image_size=(image_size, image_size)), MaskDecoder()


def build_sam(
    model_type: str,
    image_size: int | None = None,
    fuse: bool | None = None,
    upsample_mode: UpsampleMode | None = None,
    use_checkpoint: bool = False,
    checkpoint: str | Path | None = None,
) -> Sam:
    """Build a whole model, and load it strictly if there is a checkpoint.

    Args:
        model_type: see :func:`build_image_encoder`, as for the arguments that follow.
        image_size: side of the square input, in pixels; None: what the checkpoint says, else the official one, as for
            the two arguments that follow.
        fuse: EdgeSAM only.
        upsample_mode: EdgeSAM only.
        use_checkpoint: recompute activations in the backward pass.
        checkpoint: a file with the official names of this model: an official one, a converted one or one of phase 2.

    Raises:
        EdgeSamError: no such model, or a file that is missing, broken, of another model or trained as another network.
    """
    if checkpoint is None:
        asked = {"image_size": image_size, "fuse": fuse, "upsample_mode": upsample_mode}
        known: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        return build_fresh(Network(model_type, **known), use_checkpoint)
    state = read_state(checkpoint)
    sam = build_fresh(find_network(checkpoint, state, model_type, image_size, upsample_mode, fuse), use_checkpoint)
    load_official(sam, state, str(checkpoint))
    return sam


def build_fresh(network: Network, use_checkpoint: bool = False) -> Sam:
    """Build a whole model with fresh weights.

    Args:
        network: which.
        use_checkpoint: recompute activations in the backward pass.

    Raises:
        EdgeSamError: as :func:`build_image_encoder`.
    """
    encoder = build_image_encoder(**asdict(network), use_checkpoint=use_checkpoint)
    return Sam(encoder, *build_decoder(network.image_size))


def _build(
    model_type: str,
    checkpoint: str | Path | None = None,
    image_size: int | None = None,
    upsample_mode: UpsampleMode | None = None,
) -> Sam:
    return build_sam(model_type, image_size, upsample_mode=upsample_mode, checkpoint=checkpoint).eval()


sam_model_registry: dict[str, Callable[..., Sam]] = {
    name: partial(_build, model_type)
    for name, model_type in {
        "default": "vit_h",
        "edge_sam": "rep_vit_m1",
        "vit_t": "vit_t",
        **{name: name for name in (*_SAM_VIT, *_REPVIT)},
    }.items()
}
"""``sam_model_registry["edge_sam"](checkpoint=...)``, as in segment-anything; models come in eval mode.

``image_size`` and ``upsample_mode`` are for files that do not tell; see :func:`build_sam`.
"""
