"""SAM's image encoders ViT-B, ViT-L and ViT-H: timm's trunk, with attention that fused kernels take."""

from functools import partial
from typing import Literal, cast

import timm
import torch.nn.functional as F
from timm.models import vision_transformer_sam as timm_sam
from torch import Tensor, nn


class DecomposedAttention(nn.Module):
    """Attention with decomposed relative positions, holding the tensors of timm's module of the same purpose.

    timm gives ``scaled_dot_product_attention`` three dimensions, for which PyTorch has no fused kernel on CUDA.
    """

    def __init__(self, attention: timm_sam.Attention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.rel_pos_h = attention.rel_pos_h
        self.rel_pos_w = attention.rel_pos_w
        self.qkv = attention.qkv
        self.proj = attention.proj

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, h, w, C)."""
        batch, h, w, channels = x.shape
        qkv = self.qkv(x).view(batch, h * w, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = timm_sam.get_decomposed_rel_pos_bias(q.flatten(0, 1), self.rel_pos_h, self.rel_pos_w, (h, w), (h, w))
        bias = bias.view(batch, self.num_heads, h * w, h * w)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return cast(Tensor, self.proj(x.transpose(1, 2).reshape(batch, h, w, channels)))


class SamViTImageEncoder(nn.Module):
    """A plain vision transformer with windowed attention and SAM's neck (Segment Anything, appendix A).

    The position tables keep the shapes of the official files (1024 px); at another size they are resampled on the way,
    the absolute ones bicubically, the relative ones linearly.

    Args:
        arch: ``base``, ``large`` or ``huge``.
        image_size: side of the square input, a multiple of 16, in pixels.
        use_checkpoint: recompute the blocks in the backward pass instead of keeping their activations.
    """

    def __init__(
        self, arch: Literal["base", "large", "huge"], image_size: int = 1024, use_checkpoint: bool = False
    ) -> None:
        super().__init__()
        self.image_size = image_size
        # SAM's epsilon is 1e-6; timm's default here is 1e-5.
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.trunk = timm.create_model(f"samvit_{arch}_patch16", num_classes=0, norm_layer=norm)
        for block in self.trunk.blocks:
            block.attn = DecomposedAttention(block.attn)
        self.trunk.set_grad_checkpointing(use_checkpoint)

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised images (B, 3, s, s) as (B, 256, s/16, s/16)."""
        return cast(Tensor, self.trunk.forward_features(images))
