"""Image encoders for inference: batch norms and parallel branches folded into convolutions.

A batch norm that uses its running statistics is an affine map of each channel, and so is what a convolution does to a
constant; a sum of convolutions and the identity is one convolution (Ding et al. 2021, RepVGG, section 3.3). The folded
network answers the same to float rounding, and cannot be trained.
"""

import copy
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from timm.models.repvit import RepVggDw
from torch import Tensor, nn

Encoder = TypeVar("Encoder", bound=nn.Module)


@torch.no_grad()
def folded(encoder: Encoder) -> Encoder:
    """Return a copy of an image encoder, in eval mode, in which every convolution has taken in its norm.

    RepViT's blocks become one depthwise convolution each, TinyViT's convolutions lose their norms, SAM's ViT has none.
    The encoder that is given stays as it is.
    """
    encoder = copy.deepcopy(encoder).eval()
    _fold_children(encoder)
    return encoder


def _fold_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, RepVggDw):
            setattr(module, name, _fold_branches(child))
        elif _is_normed_convolution(child):
            setattr(module, name, _fold_norm(child))
        else:
            _fold_children(child)


def _is_normed_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and [name for name, _ in module.named_children()] == ["c", "bn"]


def _fold_norm(pair: nn.Module) -> nn.Conv2d:
    convolution, norm = cast(nn.Conv2d, pair.c), cast(nn.BatchNorm2d, pair.bn)
    mean, variance = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    scale = norm.weight.double() / (variance + norm.eps).sqrt()
    weight = convolution.weight.double() * scale[:, None, None, None]
    return _with_weights(convolution, weight, norm.bias.double() - mean * scale)


def _fold_branches(block: RepVggDw) -> nn.Conv2d:
    """Fold a depthwise 3x3 convolution, a depthwise 1x1 one and the identity, which are summed, into a 3x3 one."""
    wide, narrow = _fold_norm(block.conv), _fold_norm(block.conv1)
    centre = wide.kernel_size[0] // 2
    identity = torch.ones_like(narrow.weight)
    weight = wide.weight.double() + F.pad((narrow.weight + identity).double(), [centre] * 4)
    return _with_weights(wide, weight, cast(Tensor, wide.bias).double() + cast(Tensor, narrow.bias).double())


def _with_weights(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    result = copy.deepcopy(convolution)
    result.weight = nn.Parameter(weight.to(convolution.weight.dtype))
    result.bias = nn.Parameter(bias.to(convolution.weight.dtype))
    return result
