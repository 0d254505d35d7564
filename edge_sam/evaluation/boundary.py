"""Boundary IoU: how well outlines agree, which the IoU of a large mask hardly shows.

Source: Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation (CVPR 2021), section 4: the
IoU of those pixels of the two masks that are within a distance d of the own mask's outline.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

DILATION_RATIO = 0.02
"""Distance d as a share of the picture's diagonal."""


def boundary_width(size: tuple[int, int]) -> int:
    """Return the distance d in whole pixels, at least 1, for a picture of ``size`` (H, W)."""
    return max(1, round(DILATION_RATIO * float(np.hypot(*size))))


def mask_boundary(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask (h, w) from which a step of at most ``width`` leads out of it.

    A step goes any way, diagonally too (a square window, as in the published code). What is outside of the array is
    outside of the mask: a crop that holds the mask gives the same as the whole picture, and a mask's cut at the
    picture's edge counts as outline.
    """
    window = 2 * width + 1
    inner = mask.astype(np.uint8)
    for axis in (0, 1):
        inner = ndimage.minimum_filter1d(inner, window, axis=axis, mode="constant", cval=0)
    boundary: NDArray[np.bool_] = mask & (inner == 0)
    return boundary


def boundary_iou(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], size: tuple[int, int]) -> float:
    """Return the boundary IoU of two masks (h, w) in one crop that holds both, of a picture of ``size`` (H, W).

    Two empty masks have 0.
    """
    width = boundary_width(size)
    first, second = mask_boundary(prediction, width), mask_boundary(truth, width)
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0
