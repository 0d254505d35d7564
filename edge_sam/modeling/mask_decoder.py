"""SAM's mask decoder: image embedding and prompts become masks and their predicted IoU."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.common import MLP, LayerNorm2d
from edge_sam.modeling.transformer import TwoWayTransformer

_CHOSEN_MASKS = {1: slice(0, 1), 3: slice(1, 4), 4: slice(0, 4)}

_POSITIONS_AT_ONCE = 16384
"""Positions of embeddings, of all prompts, that are decoded at once on a CPU."""


class MaskDecoder(nn.Module):
    """Decodes N prompts that belong to B images at once.

    Args:
        embed_dim: channels of image embedding and prompt tokens.
    """

    num_mask_tokens = 4

    def __init__(self, embed_dim: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(embed_dim=embed_dim)
        self.iou_token = nn.Embedding(1, embed_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, embed_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(embed_dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim // 4, embed_dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(embed_dim, embed_dim, embed_dim // 8, num_layers=3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(embed_dim, 256, self.num_mask_tokens, num_layers=3)

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        num_multimask_outputs: int = 1,
        image_index: Tensor | None = None,
        fold: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts into masks.

        Args:
            image_embeddings: (B, C, h, w).
            image_pe: position encoding of the embedding, (1, C, h, w).
            sparse: prompt tokens (N, T, C).
            dense: dense prompt embedding (N, C, h, w), or (1, C, h, w): the same for all prompts of one image.
            num_multimask_outputs: 1: the single mask; 3: SAM's three candidates; 4: the single mask, then the three.
            image_index: (N,) long, the image of each prompt; without it there is one image, or one for each prompt.
            fold: take the order of operations that is fastest for many prompts without gradients. The same numbers but
                for rounding: 1e-6 for ordinary weights; attention that is all but a choice of one key makes more of it.

        Returns:
            mask logits (N, K, 4h, 4w) and predicted IoU (N, K), K = ``num_multimask_outputs``.
        """
        if num_multimask_outputs not in _CHOSEN_MASKS:
            raise ValueError(f"num_multimask_outputs is 1, 3 or 4, not {num_multimask_outputs}")
        chosen = _CHOSEN_MASKS[num_multimask_outputs]
        if image_index is not None:
            image_embeddings = image_embeddings[image_index]
        num_prompts = sparse.shape[0]  # not len: an export would make it a constant
        own_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own_tokens.expand(num_prompts, -1, -1), sparse], dim=1)
        if not fold:
            return self._decode(image_embeddings + dense, image_pe, tokens, chosen, fold)
        if num_prompts > 1 and len(dense) > 1 and dense.stride(0) == 0:  # one embedding, expanded
            dense = dense[:1]
        parts = [
            self._decode(image, image_pe, some, chosen, fold)
            for image, some in _in_parts(image_embeddings + dense, tokens)
        ]
        masks, iou = (torch.cat(part) for part in zip(*parts, strict=True))
        return masks, iou

    def _decode(
        self, image: Tensor, image_pe: Tensor, tokens: Tensor, chosen: slice, fold: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode tokens (N, T, C) with an image (N, C, h, w) each, or (1, C, h, w) for all."""
        h, w = image.shape[-2:]
        tokens, image = self.transformer(image, image_pe, tokens, fold)
        # All four networks run whatever is asked for, so that each parameter has a gradient in every step (for DDP).
        mask_tokens = [tokens[:, 1 + number] for number in range(self.num_mask_tokens)]
        filters = [mlp(token) for mlp, token in zip(self.output_hypernetworks_mlps, mask_tokens, strict=True)]
        weights = torch.stack(filters, dim=1)[:, chosen]
        iou: Tensor = self.iou_prediction_head(tokens[:, 0])
        if fold:
            return self._masks_by_position(image, weights, (h, w)), iou[:, chosen]
        upscaled = self.output_upscaling(torch.unflatten(image.transpose(1, 2), 2, (h, w)))
        masks = weights @ upscaled.flatten(2)
        return torch.unflatten(masks, 2, upscaled.shape[-2:]), iou[:, chosen]

    def _masks_by_position(self, image: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
        """Upscale and weigh (N, h*w, C) without moving channels: strides equal kernels, so positions stay apart.

        Args:
            image: what the transformer made of the image.
            weights: of the channels, (N, K, C / 8).
            size: (h, w).

        Returns:
            (N, K, 4h, 4w).
        """
        x = image
        for layer in self.output_upscaling:
            if isinstance(layer, nn.ConvTranspose2d):
                x = _enlarge(x, layer)
            elif isinstance(layer, LayerNorm2d):
                x = F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
            else:
                x = layer(x)
        masks = x.flatten(1, 3) @ weights.mT
        # Rows and columns of the embedding, of the first and of the second enlargement.
        masks = masks.view(len(masks), *size, 2, 2, 2, 2, masks.shape[-1]).permute(0, 7, 1, 3, 5, 2, 4, 6)
        return masks.reshape(*masks.shape[:2], 4 * size[0], 4 * size[1])


def _enlarge(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """Apply a convolution that makes 2 x 2 positions of each one of (..., C): (..., 4, C'), row by row."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    bias = None if layer.bias is None else layer.bias.repeat(4)
    return torch.unflatten(F.linear(x, weight, bias), -1, (4, layer.out_channels))


def _in_parts(image: Tensor, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give tokens and their images, few at a time, so that what is between two layers stays in the cache."""
    prompts = max(1, _POSITIONS_AT_ONCE // (image.shape[-2] * image.shape[-1]))
    for start in range(0, max(len(tokens), 1), prompts):  # no prompt is a part, too: its answer has a shape
        part = slice(start, start + prompts)
        yield image if len(image) == 1 else image[part], tokens[part]
