"""SAM's prompt encoder: points, boxes and masks become tokens and a dense embedding (Segment Anything, appendix A)."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from edge_sam.modeling.common import LayerNorm2d, without_autocast

PADDING_LABEL = -1
"""Label of the point that stands where a box could be."""


class RandomPositionEncoding(nn.Module):
    """Random Fourier features of positions (Tancik et al. 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_features))

    def forward(self, positions: Tensor) -> Tensor:
        """Encode positions (..., 2), (x, y) in [0, 1], as (..., 2 * num_features)."""
        with without_autocast(positions):
            matrix = self.positional_encoding_gaussian_matrix
            phase = 2 * math.pi * ((2 * positions.to(matrix.dtype) - 1) @ matrix)
            return torch.cat([phase.sin(), phase.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Encodes the prompts of N masks at once.

    Args:
        embed_dim: channels of all embeddings.
        image_embedding_size: (h, w) of the image embedding.
        input_image_size: (height, width) of the padded input, in pixels.
        mask_in_chans: hidden channels of the mask prompt's encoder.
    """

    def __init__(
        self,
        embed_dim: int = 256,
        image_embedding_size: tuple[int, int] = (64, 64),
        input_image_size: tuple[int, int] = (1024, 1024),
        mask_in_chans: int = 16,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_embedding_size = image_embedding_size
        self.input_image_size = input_image_size
        self.pe_layer = RandomPositionEncoding(embed_dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            nn.GELU(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def get_dense_pe(self) -> Tensor:
        """Return the position encoding of the image embedding, (1, embed_dim, h, w)."""
        h, w = self.image_embedding_size
        device = self.no_mask_embed.weight.device
        y = (torch.arange(h, device=device) + 0.5) / h
        x = (torch.arange(w, device=device) + 0.5) / w
        grid = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        encoding: Tensor = self.pe_layer(grid)
        return encoding.permute(2, 0, 1)[None]

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Encode prompts of N masks; every kind may be absent, coordinates are input pixels.

        Args:
            points: coordinates (N, P, 2) and labels (N, P): 1 foreground, 0 background, -1 padding, -2 ignored.
            boxes: (N, 4), XYXY.
            masks: logits (N, 1, 4h, 4w).

        Returns:
            sparse tokens (N, T, embed_dim): P points, a padding point if there are points and no boxes, 2 box corners;
            dense embedding (N, embed_dim, h, w).
        """
        tokens = []
        if points is not None:
            tokens.append(self.embed_points(*points, pad=boxes is None))
        if boxes is not None:
            tokens.append(self._embed_boxes(boxes))
        num_prompts = len(tokens[0]) if tokens else 1 if masks is None else len(masks)
        no_mask = self.no_mask_embed.weight
        sparse = torch.cat(tokens, dim=1) if tokens else no_mask.new_empty(num_prompts, 0, self.embed_dim)
        if masks is None:
            dense = no_mask[:, :, None, None].expand(num_prompts, -1, *self.image_embedding_size)
        else:
            dense = self.mask_downscaling(masks)
        return sparse, dense

    def embed_points(self, coordinates: Tensor, labels: Tensor, pad: bool) -> Tensor:
        """Return the tokens (N, P, embed_dim) of points.

        Args:
            coordinates: input pixels (N, P, 2).
            labels: (N, P): 1 foreground, 0 background, -1 padding, -2 ignored, 2 and 3 the corners of a box.
            pad: add a padding point, the last token.
        """
        if pad:
            coordinates = torch.cat([coordinates, coordinates.new_zeros(coordinates.shape[0], 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), PADDING_LABEL)], dim=1)
        position = self._encode_positions(coordinates).masked_fill(labels[..., None] < 0, 0.0)
        # labels -2 to 3; an ignored point is a token of zeros
        kinds = [torch.zeros_like(self.no_mask_embed.weight), self.not_a_point_embed.weight, *self._point_weights()]
        return position + torch.cat(kinds)[labels.long() + 2]

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        return self._encode_positions(boxes.reshape(-1, 2, 2)) + torch.cat(self._point_weights()[2:])

    def _point_weights(self) -> list[Tensor]:
        """Return what marks background, foreground, top left and bottom right corner, each (1, embed_dim)."""
        return [cast(nn.Embedding, embedding).weight for embedding in self.point_embeddings]

    def _encode_positions(self, coordinates: Tensor) -> Tensor:
        """Encode input pixels (N, P, 2), whose centres lie at + 0.5."""
        height, width = self.input_image_size
        encoding: Tensor = self.pe_layer((coordinates + 0.5) / coordinates.new_tensor([width, height]))
        return encoding
