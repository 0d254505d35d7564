"""A direct lesson for an image encoder that starts from nothing: pixels of one mask are alike, those around it are not.

Through the mask decoder an encoder hears of its mistakes late: until prompts, tokens and pixels have found a common
language, filling the box is the best that both can do. This loss asks no prompt. The mean of a mask's pixels is its
prototype, and likeness to the prototype should tell the mask from its surroundings.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_sam.modeling.common import without_autocast

SHARPNESS = 10.0
"""Logit of a step of 1 in cosine."""
THRESHOLD = 0.6
"""Cosine from which a pixel belongs to the mask. GELU leaves features mostly positive."""
SURROUNDINGS = 0.15
"""Share of its width and height that a box grows by at each side, beside one low-resolution pixel."""


def grouping_logits(features: Tensor, coverage: Tensor, image_index: Tensor) -> Tensor:
    """Return how much each pixel is like a mask's prototype, as logits (N, 1, h, w), float32 under autocast, too.

    Args:
        features: of the pixels of B images, (B, C, h, w).
        coverage: share of each pixel that a mask covers, (N, 1, h, w).
        image_index: (N,), the image of each mask.
    """
    with without_autocast(features):
        pixels = F.normalize(features.float(), dim=1).flatten(2)[image_index]
        prototype = F.normalize(pixels @ coverage.float().flatten(2).transpose(1, 2), dim=1)
        cosine = torch.unflatten(prototype.transpose(1, 2) @ pixels, 2, features.shape[-2:])
        return SHARPNESS * (cosine - THRESHOLD)


def surroundings(boxes: Tensor, side: int, image_size: int) -> Tensor:
    """Return the pixels in and around boxes, bool (N, side, side): never none.

    Args:
        boxes: XYXY in input pixels, (N, 4).
        side: of the low-resolution square.
        image_size: of the input, in pixels.
    """
    step = image_size / side
    centers = (torch.arange(side, device=boxes.device) + 0.5) * step
    low, high = boxes[:, :2], boxes[:, 2:]
    margin = SURROUNDINGS * (high - low) + step
    low, high = (low - margin)[..., None], (high + margin)[..., None]
    inside = (centers >= low) & (centers <= high)  # (N, 2, side): by x, by y
    return inside[:, 1, :, None] & inside[:, 0, None, :]
