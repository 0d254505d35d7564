"""Logits on their way out of a decoder: enlarged to the picture, scored."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MASK_THRESHOLD = 0.0
"""A pixel belongs to a mask where its logit is above this."""

STABILITY_OFFSET = 1.0
"""Distance from the mask's threshold of the two that a stability score compares (Segment Anything, appendix B)."""


def enlarged(
    masks: NDArray[np.float32], image_size: int, input_size: tuple[int, int], original_size: tuple[int, int]
) -> NDArray[np.float32]:
    """Bring low-resolution logits to the size of the picture, as SAM does: two bilinear steps, a crop between them.

    Args:
        masks: (..., l, l), of the padded square.
        image_size: side of that square in input pixels.
        input_size: (height, width) of the resized picture in it.
        original_size: (H, W) of the picture.

    Returns:
        logits (..., H, W).
    """
    rows, columns = (_weights(masks.shape[-1], image_size, input_size[axis], original_size[axis]) for axis in (0, 1))
    return np.asarray(rows @ masks @ columns.T, np.float32)


def stability_score(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the IoU of masks (..., l, l) at a higher and at a lower threshold; 0 for an empty mask."""
    smaller = (masks > MASK_THRESHOLD + STABILITY_OFFSET).sum(axis=(-1, -2))
    larger = (masks > MASK_THRESHOLD - STABILITY_OFFSET).sum(axis=(-1, -2))
    return np.asarray(smaller / np.maximum(larger, 1), np.float32)


@lru_cache(maxsize=16)
def _weights(low_side: int, image_size: int, size: int, original: int) -> NDArray[np.float32]:
    """Return how much of each low-resolution pixel is in each pixel of the picture, along one axis."""
    to_square = _bilinear(low_side, image_size)[:size]
    return (_bilinear(size, original) @ to_square).astype(np.float32)


def _bilinear(source: int, target: int) -> NDArray[np.float64]:
    """Return the weights (target, source) of linear interpolation; pixel centres lie at + 0.5."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    weights: NDArray[np.float64] = np.clip(1 - np.abs(position[:, None] - np.arange(source)), 0, None)
    return weights
