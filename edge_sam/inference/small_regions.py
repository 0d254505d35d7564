"""Removing the specks and pinholes of a mask."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def remove_small_regions(mask: NDArray[np.bool_], min_area: float) -> tuple[NDArray[np.bool_], bool]:
    """Fill holes of fewer than ``min_area`` pixels, then drop islands of fewer; pixels touch at corners, too.

    Source: Segment Anything, appendix B, "postprocessing".

    Returns:
        The mask (H, W), of which the largest island stays whatever its size, and whether anything was changed.
    """
    filled = mask | _regions_below(~mask, min_area)
    islands = _regions_below(filled, min_area, keep_largest=True)
    cleaned = filled & ~islands
    return cleaned, bool((cleaned != mask).any())


def _regions_below(mask: NDArray[np.bool_], min_area: float, keep_largest: bool = False) -> NDArray[np.bool_]:
    """Return the pixels of the connected regions of ``mask`` that are smaller than ``min_area``."""
    labels, _ = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel())
    small = areas < min_area
    small[0] = False  # what is not of the mask
    if keep_largest and len(areas) > 1 and small[1:].all():
        small[1 + areas[1:].argmax()] = False
    regions: NDArray[np.bool_] = small[labels]
    return regions
