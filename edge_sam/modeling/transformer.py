"""SAM's two-way transformer: tokens and image attend to each other (Segment Anything, appendix A, figure 14)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.common import MLPBlock

_LIKENESS = 2.0
"""How much larger than torch's the fresh weights of queries are: scores are small beside those of a trained model."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of ``q`` (N, heads, L, C) over ``k`` and ``v`` (N, heads, S, C).

    Training and GPUs need the fused kernel for time and memory. Inference on a CPU writes the formula out: a decoder's
    scores are few, and this gives SAM's own masks to the last bits, where sharp attention would amplify the other
    rounding of the fused kernel.
    """
    if q.requires_grad or not q.is_cpu:
        return F.scaled_dot_product_attention(q, k, v)
    scores: Tensor = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.softmax(dim=-1) @ v


class Attention(nn.Module):
    """Multi-head attention whose queries, keys and values may be narrower than the embedding."""

    def __init__(self, embed_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner_dim = embed_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embed_dim, inner_dim)
        self.k_proj = nn.Linear(embed_dim, inner_dim)
        self.v_proj = nn.Linear(embed_dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, embed_dim)
        self._start_by_likeness()

    @torch.no_grad()
    def _start_by_likeness(self) -> None:
        """Let fresh queries and keys be the same projection, so that what is alike attends to what is alike.

        Positions are Fourier features, whose dot product falls with their distance: prompts and pixels find each other
        from the first step on, instead of after hundreds.
        """
        self.q_proj.weight.mul_(_LIKENESS)
        self.k_proj.weight.copy_(self.q_proj.weight)
        self.q_proj.bias.zero_()
        self.k_proj.bias.zero_()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q`` (N, L, C) to ``k`` and ``v`` (N, S, C): (N, L, C).

        A batch of one is meant for all of the others.
        """
        q, k, v = (self.split_heads(x) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        out: Tensor = self.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))
        return out

    @property
    def head_dim(self) -> int:
        """Channels of each head."""
        return self.q_proj.out_features // self.num_heads

    def split_heads(self, x: Tensor) -> Tensor:
        """Split (N, L, C) into (N, heads, L, C / heads)."""
        return torch.unflatten(x, 2, (self.num_heads, -1)).transpose(1, 2)


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, feed-forward, image to tokens; a norm after each."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_dim: int, downsample_rate: int, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.self_attn = Attention(embed_dim, num_heads)
        self.norm1 = nn.LayerNorm(embed_dim)
        self.cross_attn_token_to_image = Attention(embed_dim, num_heads, downsample_rate)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLPBlock(embed_dim, mlp_dim, nn.ReLU)
        self.norm3 = nn.LayerNorm(embed_dim)
        self.norm4 = nn.LayerNorm(embed_dim)
        self.cross_attn_image_to_token = Attention(embed_dim, num_heads, downsample_rate)

    def forward(self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Update tokens (N, T, C) and image (N, h*w, C)."""
        tokens = self.attend_to_tokens(tokens, token_pe)
        image_key = image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pe, image_key, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image_key, tokens + token_pe, tokens))
        return tokens, image

    def attend_to_tokens(self, tokens: Tensor, token_pe: Tensor) -> Tensor:
        """Let tokens (N, T, C) attend to each other, the first step."""
        if self.is_first:  # the tokens still are their own position encoding
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        normed: Tensor = self.norm1(tokens)
        return normed


class TwoWayTransformer(nn.Module):
    """Decodes tokens with an image embedding.

    Args:
        depth: number of two-way layers.
        embed_dim: channels of tokens and image.
        num_heads: attention heads.
        mlp_dim: hidden channels of the feed-forward parts.
        downsample_rate: the cross attentions work on ``embed_dim / downsample_rate`` channels.
    """

    def __init__(
        self, depth: int = 2, embed_dim: int = 256, num_heads: int = 8, mlp_dim: int = 2048, downsample_rate: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(embed_dim, num_heads, mlp_dim, downsample_rate, is_first=i == 0) for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(embed_dim, num_heads, downsample_rate)
        self.norm_final_attn = nn.LayerNorm(embed_dim)

    def forward(self, image: Tensor, image_pe: Tensor, token_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Run the transformer.

        Args:
            image: (N, C, h, w), or (1, C, h, w) for all.
            image_pe: its position encoding, (1, C, h, w).
            token_pe: the prompt tokens (N, T, C), which serve as their own position encoding.

        Returns:
            tokens (N, T, C) and image (N, h*w, C).
        """
        image = image.flatten(2).transpose(1, 2)
        image_pe = image_pe.flatten(2).transpose(1, 2)
        tokens = token_pe
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        attended = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + attended), image
