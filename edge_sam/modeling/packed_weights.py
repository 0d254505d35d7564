"""Weights in a quarter of the bytes: int8 with one scale a row, for files that travel with the code.

A packed file is a safetensors file in which each large weight ``NAME`` is int8 and has a companion ``NAME.scale``,
float32, one a row (first dimension): weight = int8 x scale. Everything else stays as it is. Reading gives float32
tensors of the plain names, so that nothing behind the reader knows of packing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from edge_sam.errors import EdgeSamError

_SUFFIX = ".scale"
_LARGEST = 127
_SMALLEST_ROW = 32
"""Values a row needs for its scale to weigh little beside it; depthwise filters, norms and biases have fewer."""
_SMALLEST_WEIGHT = 8192
"""Values a weight needs for its bytes to count. Below are position frequencies and tokens, whose rounding alone moved
masks more than that of all large weights together."""


def pack_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round large weights with long rows to int8; the largest error of a row is half of its largest value / 127."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point() or tensor.numel() < _SMALLEST_WEIGHT or tensor[0].numel() < _SMALLEST_ROW:
            packed[name] = tensor
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / _LARGEST
        packed[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
        packed[name + _SUFFIX] = scale
    return packed


def unpack_weights(packed: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Undo :func:`pack_weights`; tensors that are not packed pass.

    Args:
        packed: tensors of a file.
        source: the file, for the error.

    Raises:
        EdgeSamError: a packed weight without its scales, or with another number of them.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if tensor.dtype == torch.int8:
            scale = packed.get(name + _SUFFIX)
            if scale is None or scale.shape != tensor.shape[:1]:
                found = "no scale" if scale is None else f"scales of shape {tuple(scale.shape)}"
                raise EdgeSamError(f"{source}: packed weight {name} of shape {tuple(tensor.shape)} has {found}")
            state[name] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        elif not _is_scale(name, packed):
            state[name] = tensor
    return state


def _is_scale(name: str, packed: Mapping[str, Tensor]) -> bool:
    weight = packed.get(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    return weight is not None and weight.dtype == torch.int8
