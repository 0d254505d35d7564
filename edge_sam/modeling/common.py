"""Layers that several networks share; attribute names are those of the official checkpoints."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, h, w), with SAM's epsilon of 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position of ``x`` (B, C, h, w), in whichever order its memory lies."""
        if x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        with without_autocast(x):
            x = x.to(self.weight.dtype)
            centred = x - x.mean(dim=1, keepdim=True)
            x = centred / torch.sqrt(centred.pow(2).mean(dim=1, keepdim=True) + self.eps)
            return self.weight[:, None, None] * x + self.bias[:, None, None]


class MLPBlock(nn.Module):
    """The feed-forward part of a transformer layer: (..., C) -> hidden -> (..., C)."""

    def __init__(self, embed_dim: int, hidden_dim: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embed_dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, embed_dim)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last dimension."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class MLP(nn.Module):
    """Linear layers with ReLU between them: (..., input_dim) -> (..., output_dim)."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last dimension."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        out: Tensor = last(x)
        return out


class Neck(nn.Sequential):
    """SAM's neck: 1x1 convolution to 256 channels, norm, 3x3 convolution, norm (Segment Anything, appendix A)."""

    def __init__(self, in_channels: int, out_channels: int = 256) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )


def without_autocast(x: Tensor) -> torch.autocast:
    """Context in which ``x``'s device computes in the dtype of its inputs: coordinates do not survive bfloat16."""
    return torch.autocast(x.device.type, enabled=False)
