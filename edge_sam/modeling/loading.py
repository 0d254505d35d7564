"""From a weight file alone to the model that it was trained as."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import load_official, official_state, read_state
from edge_sam.modeling.network_recognition import Network, recognise_network
from edge_sam.modeling.network_settings import read_network_settings
from edge_sam.modeling.registry import build_decoder, build_image_encoder
from edge_sam.modeling.repvit import RepViTImageEncoder, UpsampleMode
from edge_sam.modeling.sam import Sam

_KEYS = {
    "MODEL.TYPE": "model_type",
    "DATA.IMG_SIZE": "image_size",
    "DISTILL.FUSE": "fuse",
    "DISTILL.UPSAMPLE_MODE": "upsample_mode",
}


def load_sam(
    checkpoint: str | Path,
    model_type: str | None = None,
    image_size: int | None = None,
    upsample_mode: UpsampleMode | None = None,
) -> Sam:
    """Build the model that a file holds and load it strictly.

    Args:
        checkpoint: a whole model: an official file, a converted one or a training checkpoint of phase 2.
        model_type: where the file says less than :func:`find_network` needs; as for the arguments that follow.
        image_size: in pixels.
        upsample_mode: EdgeSAM only.

    Returns:
        The model, in eval mode.

    Raises:
        EdgeSamError: a file that is missing, broken, not whole or of another model than was asked for.
    """
    state = read_state(checkpoint)
    network = find_network(checkpoint, state, model_type, image_size, upsample_mode)
    return build_network(network, state, str(checkpoint))


def build_network(network: Network, state: Mapping[str, Tensor], source: str) -> Sam:
    """Build a model and load a whole state with official names strictly.

    Raises:
        EdgeSamError: as :func:`edge_sam.modeling.checkpoints.load_official`, naming ``source``.
    """
    sam = _build(network)
    load_official(sam, state, source)
    return sam.eval()


def _build(network: Network) -> Sam:
    encoder = build_image_encoder(network.model_type, network.image_size, network.fuse, network.upsample_mode)
    return Sam(encoder, *build_decoder(network.image_size))


def find_network(
    checkpoint: str | Path,
    state: Mapping[str, Tensor],
    model_type: str | None = None,
    image_size: int | None = None,
    upsample_mode: UpsampleMode | None = None,
) -> Network:
    """Say which network a file holds: by its own word, else as asked for, else by its tensors and the official sizes.

    Args:
        checkpoint: the file.
        state: its tensors.
        model_type: what is expected; None to leave it to the file, as for the arguments that follow.
        image_size: in pixels.
        upsample_mode: EdgeSAM only.

    Raises:
        EdgeSamError: the file says otherwise, or says nothing and is of no known model.
    """
    asked = {"model_type": model_type, "image_size": image_size, "upsample_mode": upsample_mode}
    chosen: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    for key, found in read_network_settings(checkpoint).items():
        name = _KEYS[key]
        if chosen.setdefault(name, found) != found:
            raise EdgeSamError(f"{checkpoint}: was trained with {key} {found}, not {chosen[name]}: leave that out")
    recognised = Network(model_type) if model_type is not None else recognise_network(state, str(checkpoint))
    return replace(recognised, **chosen)


def network_of(sam: Sam) -> Network:
    """Say which network a model is.

    Raises:
        EdgeSamError: not one of this package's, or one whose tensors were changed, e.g. folded for inference.
    """
    state = official_state(sam)
    encoder = sam.image_encoder
    network = replace(recognise_network(state, type(encoder).__name__), image_size=sam.image_size)
    if isinstance(encoder, RepViTImageEncoder) and encoder.fusion is not None:
        network = replace(network, upsample_mode=encoder.fusion.upsample_mode)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if shapes != _official_shapes(network.model_type, network.fuse):
        raise EdgeSamError(f"not the tensors of a {network.model_type}: this model was changed, e.g. folded")
    return network


@lru_cache
def _official_shapes(model_type: str, fuse: bool) -> dict[str, torch.Size]:
    with torch.device("meta"):
        sam = _build(Network(model_type, fuse=fuse))
    return {name: tensor.shape for name, tensor in official_state(sam).items()}
