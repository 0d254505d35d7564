"""The first click on a mask: its innermost pixel, a random pixel of it, or the centre of its box.

Points are (x, y) = (column, row) indices in the pixels of the mask (or the unit of the boxes), float64.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def mask_center_points(masks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Find the pixel of each mask (H, W) that is farthest from everything outside it: (N, 2).

    Exact Euclidean distance; outside the picture is outside the mask; of equally far pixels the first, row by row.

    Raises:
        ValueError: an empty mask.
    """
    return np.array([_center(mask) for mask in masks], dtype=np.float64).reshape(-1, 2)


def mask_random_points(masks: Iterable[NDArray[np.uint8]], noise: Iterable[float]) -> NDArray[np.float64]:
    """Draw a pixel of each mask (H, W): number floor(u x area), row by row, for ``noise`` u in [0, 1): (N, 2).

    Raises:
        ValueError: an empty mask, or not as many noise values as masks.
    """
    points = []
    for mask, value in zip(masks, noise, strict=True):
        pixels = np.flatnonzero(mask)
        if not pixels.size:
            raise ValueError("an empty mask has no pixel to click on")
        row, column = divmod(int(pixels[min(int(value * pixels.size), pixels.size - 1)]), mask.shape[1])
        points.append((column, row))
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def box_center_points(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the middle of each XYXY box (N, 4): (N, 2), in the boxes' unit."""
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)
    middle: NDArray[np.float64] = corners.mean(axis=1)
    return middle


def _center(mask: NDArray[np.uint8]) -> tuple[int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("an empty mask has no centre")
    top, left = int(rows[0]), int(columns[0])
    # Everything outside the mask's box is outside the mask, so a border of one pixel around the box says it all.
    crop = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1] != 0, 1)
    row, column = np.unravel_index(int(ndimage.distance_transform_edt(crop).argmax()), crop.shape)
    return left + int(column) - 1, top + int(row) - 1
