"""From a weight file alone to the model that it was trained as."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import load_official, official_state, read_state
from edge_sam.modeling.network_recognition import Network, recognise_network
from edge_sam.modeling.network_settings import find_network
from edge_sam.modeling.registry import build_fresh
from edge_sam.modeling.repvit import RepViTImageEncoder, UpsampleMode
from edge_sam.modeling.sam import Sam


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
    sam = build_fresh(network)
    load_official(sam, state, source)
    return sam.eval()


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
        sam = build_fresh(Network(model_type, fuse=fuse))
    return {name: tensor.shape for name, tensor in official_state(sam).items()}
