"""MobileSAM's image encoder: TinyViT-5M (Wu et al. 2022) whose last merge keeps the resolution (Zhang et al. 2023)."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.common import Neck
from edge_sam.modeling.recompute import recomputed

_DIMS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_STRIDES = (2, 2, 1)  # of the merges after the first three layers; the original TinyViT has 2 in the last one


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch normalisation."""

    def __init__(self, in_dim: int, out_dim: int, kernel_size: int = 1, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(in_dim, out_dim, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=conv, bn=nn.BatchNorm2d(out_dim)))


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2: (B, 3, s, s) -> (B, C, s/4, s/4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, dim // 2, 3, 2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Embed normalised images."""
        out: Tensor = self.seq(x)
        return out


class MBConv(nn.Module):
    """Inverted residual block, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 4 * dim
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(hidden))


class PatchMerging(nn.Module):
    """Changes the width, and the resolution by ``stride``."""

    def __init__(self, in_dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_dim, out_dim)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, stride, groups=out_dim)
        self.conv3 = ConvNorm(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h/stride, w/stride)."""
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class WindowAttention(nn.Module):
    """Attention inside a window, with a learned bias for each distance (|dy|, |dx|)."""

    distance_index: Tensor

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window * window))
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        y, x = y.flatten(), x.flatten()
        distance = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("distance_index", distance, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend inside windows (W, window * window, C)."""
        # (W, L, heads, 3 * C / heads): the official files keep a head's query, key and value together
        qkv = self.qkv(self.norm(x)).view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, self.distance_index].to(q.dtype)
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Norm, then two linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last dimension."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class TinyViTBlock(nn.Module):
    """Window attention, a depthwise convolution, feed-forward."""

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(dim, num_heads, window)
        self.mlp = FeedForward(dim)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        x = self.local_conv(x + self._attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        transformed: Tensor = self.mlp(x.permute(0, 2, 3, 1))
        return x + transformed.permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """Attention of (B, h, w, C) in windows; where they do not fit, they are filled with zeros, which take part."""
        _, h, w, channels = x.shape
        window = self.window
        x = F.pad(x, (0, 0, 0, -w % window, 0, -h % window))
        rows, columns = x.shape[1] // window, x.shape[2] // window
        windows = x.view(-1, rows, window, columns, window, channels).transpose(2, 3)
        attended: Tensor = self.attn(windows.reshape(-1, window * window, channels))
        x = attended.view(-1, rows, columns, window, window, channels).transpose(2, 3)
        return x.reshape(-1, rows * window, columns * window, channels)[:, :h, :w]


class TinyViTLayer(nn.Module):
    """Blocks of one resolution, then the merge to the next, if there is one."""

    def __init__(self, index: int) -> None:
        super().__init__()
        dim = _DIMS[index]
        self.blocks = nn.Sequential(
            *(
                TinyViTBlock(dim, _HEADS[index], _WINDOWS[index]) if index else MBConv(dim)
                for _ in range(_DEPTHS[index])
            )
        )
        is_last = index == len(_DIMS) - 1
        self.downsample = nn.Identity() if is_last else PatchMerging(dim, _DIMS[index + 1], _STRIDES[index])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h', w')."""
        out: Tensor = self.downsample(self.blocks(x))
        return out


class Unused(nn.Module):
    """Tensors that the official file holds and no computation reads: kept for the file, invisible to optimizers."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))


class TinyViTImageEncoder(nn.Module):
    """MobileSAM's encoder under its official names.

    Args:
        image_size: side of the square input, a multiple of 16, in pixels.
        use_checkpoint: recompute the transformer layers in the backward pass instead of keeping their activations.
    """

    def __init__(self, image_size: int = 1024, use_checkpoint: bool = False) -> None:
        super().__init__()
        self.image_size = image_size
        self.use_checkpoint = use_checkpoint
        self.patch_embed = PatchEmbed(_DIMS[0])
        self.layers = nn.ModuleList(TinyViTLayer(i) for i in range(len(_DIMS)))
        self.norm_head = Unused(weight=(_DIMS[-1],), bias=(_DIMS[-1],))
        self.head = Unused(weight=(1000, _DIMS[-1]), bias=(1000,))
        self.neck = Neck(_DIMS[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised images (B, 3, s, s) as (B, 256, s/16, s/16)."""
        x = self.patch_embed(images)
        for layer in self.layers:
            x = recomputed(layer, x) if self.use_checkpoint else layer(x)
        out: Tensor = self.neck(x)
        return out
