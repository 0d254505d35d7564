"""The mask decoder for many prompts of one image, without gradients: the same numbers but for rounding."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.common import LayerNorm2d, without_autocast
from edge_sam.modeling.shared_image import PromptImages, SharedImage, SharedKeys, SharedQueries
from edge_sam.modeling.transformer import TwoWayAttentionBlock

if TYPE_CHECKING:
    from edge_sam.modeling.mask_decoder import MaskDecoder

_POSITIONS_AT_ONCE = 16384
"""Positions, of all prompts, whose attention is computed at once on a CPU: it stays in the cache."""

_UPSCALED_AT_ONCE = 4096
"""Positions that are upscaled at once on a CPU: each becomes 16 of many channels."""


class SharedImageDecoder:
    """Decodes prompts of one image, from whose projections all of them profit (see ``shared_image.py``).

    Dot products are summed up in another order than by :class:`MaskDecoder`: 1e-6 for ordinary weights; attention
    that is all but a choice of one key makes more of it. What is computed once an image costs as much as one or two
    prompts. Everything is computed in the number format of the weights, under autocast too.

    Args:
        decoder: its weights.
        image: embedding with the dense prompt embedding added, (1, C, h, w).
        image_pe: its position encoding, (1, C, h, w).
    """

    def __init__(self, decoder: "MaskDecoder", image: Tensor, image_pe: Tensor) -> None:
        self._decoder = decoder
        self._size = image.shape[-2:]
        self._layers: list[_SharedLayer] = []
        with without_autocast(image):
            pe, base = (x.to(decoder.iou_token.weight.dtype).flatten(2)[0].T.contiguous() for x in (image_pe, image))
            shared = SharedImage(base)
            for block in decoder.transformer.layers:
                self._layers.append(_SharedLayer(cast(TwoWayAttentionBlock, block), shared, pe))
                shared = self._layers[-1].image_to_tokens.image
            self._final_attention = SharedKeys(decoder.transformer.final_attn_token_to_image, shared, pe)
            self._upscaling = _SharedUpscaling(decoder.output_upscaling, shared)

    def __call__(self, sparse: Tensor, num_multimask_outputs: int) -> tuple[Tensor, Tensor]:
        """Decode prompt tokens (N, T, C) into mask logits (N, K, 4h, 4w) and predicted IoU (N, K).

        Args:
            sparse: the tokens.
            num_multimask_outputs: K, see :meth:`edge_sam.modeling.mask_decoder.MaskDecoder.forward`.
        """
        parts = [
            (part.logits(torch.ones_like(part.iou, dtype=torch.bool)), part.iou)
            for part in self.candidates(sparse, num_multimask_outputs)
        ]
        masks, iou = (torch.cat(part) for part in zip(*parts, strict=True))
        return torch.unflatten(masks, 0, iou.shape), iou

    def candidates(self, sparse: Tensor, num_multimask_outputs: int) -> "Iterator[Candidates]":
        """Give what can be made of prompts (N, T, C), some of them at a time, in their order."""
        chosen = self._decoder.chosen_masks(num_multimask_outputs)
        at_once = max(1, _POSITIONS_AT_ONCE // self._size.numel()) if sparse.is_cpu else max(1, len(sparse))
        for part in torch.split(sparse, at_once):
            with without_autocast(part):
                candidates = self._attend(part.to(self._decoder.iou_token.weight.dtype), chosen)
            yield candidates

    def _attend(self, sparse: Tensor, chosen: slice) -> "Candidates":
        decoder = self._decoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        token_pe = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens = token_pe
        images = PromptImages(None, sparse.new_empty(len(sparse), 0, self._size.numel()))
        for layer in self._layers:
            tokens, images = layer(tokens, token_pe, images)
        # Who is not asked for need not look once more.
        wanted = [0, *range(1, 1 + decoder.num_mask_tokens)[chosen]]
        tokens, token_pe = tokens[:, wanted], token_pe[:, wanted]
        tokens = tokens + self._final_attention(tokens + token_pe, images)
        tokens = decoder.transformer.norm_final_attn(tokens)
        networks = decoder.output_hypernetworks_mlps[chosen]
        filters = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(networks)], dim=1)
        iou = decoder.iou_prediction_head(tokens[:, 0])[:, chosen]
        return Candidates(iou, filters, images, self._upscaling, self._size)


class Candidates:
    """The masks of N prompts before they are made.

    Attributes:
        iou: predicted IoU (N, K).
    """

    def __init__(
        self, iou: Tensor, filters: Tensor, images: PromptImages, upscaling: "_SharedUpscaling", size: torch.Size
    ) -> None:
        self.iou = iou
        self._filters, self._images, self._upscaling, self._size = filters, images, upscaling, size

    def logits(self, wanted: Tensor) -> Tensor:
        """Return the logits (M, 4h, 4w) of those masks that ``wanted``, bool (N, K), names."""
        some = wanted.any(dim=1)
        images, filters = self._images.chosen(some), self._filters[some]
        number, positions = len(images.weights), self._size.numel()
        step = max(1, _UPSCALED_AT_ONCE // max(1, number)) if filters.is_cpu else positions
        with without_autocast(filters):
            rows = self._upscaling.rows(images)
            parts = [
                self._upscaling(images, rows, slice(start, start + step)) @ filters.mT
                for start in range(0, positions, step)
            ]
        # Rows and columns of the embedding, of the first and of the second enlargement.
        masks = torch.cat(parts, dim=1).view(number, *self._size, 2, 2, 2, 2, filters.shape[1])
        masks = masks.permute(0, 7, 1, 3, 5, 2, 4, 6)[wanted[some]]
        return masks.reshape(len(masks), 4 * self._size[0], 4 * self._size[1])

    def samples(self, wanted: Tensor, positions: Tensor) -> Tensor:
        """Return logits (M, 4 * n) of the same masks at four pixels of each of some positions of the embedding.

        Args:
            wanted: bool (N, K).
            positions: (n,), row by row.
        """
        some = wanted.any(dim=1)
        images, filters = self._images.chosen(some), self._filters[some]
        with without_autocast(filters):
            pixels = self._upscaling(images, self._upscaling.rows(images), positions, whole=False) @ filters.mT
        return pixels.mT[wanted[some]]


class _SharedUpscaling:
    """What makes 16 pixels of each position; strides equal kernels, so positions stay apart."""

    def __init__(self, layers: nn.Sequential, image: SharedImage) -> None:
        self._image = image
        first, norm, self._between, second, self._behind = layers
        assert isinstance(norm, LayerNorm2d)
        self._norm = norm
        weight, self._bias = _as_linear(first)
        self._first = weight.T
        self._base = image.base @ self._first
        self._second = _as_linear(second)

    def rows(self, images: PromptImages) -> Tensor:
        """Return what the first enlargement makes of the rows of images, (N, R, C)."""
        rows = images.rows(self._image) @ self._first
        rows[:, -1] += self._bias  # the weight of the last one is 1
        return rows

    def __call__(self, images: PromptImages, rows: Tensor, at: slice | Tensor, whole: bool = True) -> Tensor:
        """Upscale images at n positions.

        Args:
            images: of N prompts.
            rows: see :meth:`rows`.
            at: positions, row by row.
            whole: all pixels of each position, or the first of each four.

        Returns:
            (N, 16 * n, C / 8) or (N, 4 * n, C / 8).
        """
        assert images.scale is not None
        x = torch.baddbmm(images.scale[:, at, None] * self._base[at], images.weights[:, :, at].mT, rows)
        x, norm = torch.unflatten(x, -1, (4, -1)), self._norm
        x = self._between(F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps))
        weight, bias = self._second
        channels = len(bias) // 4
        if not whole:
            weight, bias = weight[:channels], bias[:channels]
        x = self._behind(F.linear(x, weight, bias))
        return torch.unflatten(x, -1, (-1, channels)).flatten(1, 3)


class _SharedLayer:
    def __init__(self, block: TwoWayAttentionBlock, image: SharedImage, pe: Tensor) -> None:
        self._block = block
        self.tokens_to_image = SharedKeys(block.cross_attn_token_to_image, image, pe)
        self.image_to_tokens = SharedQueries(block.cross_attn_image_to_token, block.norm4, image, pe)

    def __call__(self, tokens: Tensor, token_pe: Tensor, images: PromptImages) -> tuple[Tensor, PromptImages]:
        block = self._block
        tokens = block.attend_to_tokens(tokens, token_pe)
        tokens = block.norm2(tokens + self.tokens_to_image(tokens + token_pe, images))
        tokens = block.norm3(tokens + block.mlp(tokens))
        return tokens, self.image_to_tokens(tokens + token_pe, tokens, images)


def _as_linear(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight (4 * C', C) and bias (4 * C',) of a convolution that makes 2 x 2 positions of one, row by row."""
    assert isinstance(layer, nn.ConvTranspose2d) and layer.bias is not None
    return layer.weight.permute(2, 3, 1, 0).flatten(0, 2), layer.bias.repeat(4)
