"""The first click on a mask: its innermost pixel, a random pixel of it, or the centre of its box.

Points are (x, y) = (column, row) indices in the pixels of the mask (or the unit of the boxes), float64.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BLOCK = 4
"""Side of the squares of pixels by which a mask's middle is narrowed down."""

_ROUNDING = 1e-6

_SEARCH = 5
"""A block and a pixel outside take as long to look at as a fifth of a pixel takes in a distance transform."""

_DISTANCES = 2**20
"""So many distances are held at once."""


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
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1] != 0
    # Everything outside the mask's box is outside the mask, so a border of one pixel around the box says it all.
    below, beside = (-(side + 2) % _BLOCK for side in crop.shape)
    inside = np.pad(crop, ((1, 1 + below), (1, 1 + beside)))
    blocks, outline = _middle_blocks(inside), _outline(inside)
    if len(blocks) * len(outline) < _SEARCH * inside.size:
        row, column = _innermost(inside, blocks, outline)
    else:
        row, column = np.unravel_index(int(ndimage.distance_transform_edt(inside).argmax()), inside.shape)
    return left + int(column) - 1, top + int(row) - 1


def _middle_blocks(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the blocks (N, 2), row and column, in which all the pixels are that are farthest from the outside.

    Between blocks, whole ones and others, the distance is that of their pixels to within what both pixels can be away
    from the middles of their blocks.
    """
    height, width = (side // _BLOCK for side in inside.shape)
    whole = inside.reshape(height, _BLOCK, width, _BLOCK).all(axis=(1, 3))
    distance = ndimage.distance_transform_edt(np.pad(whole, 1))[1:-1, 1:-1]
    uncertain = np.sqrt(2) * (_BLOCK - 1) / _BLOCK
    blocks: NDArray[np.int64] = np.argwhere(distance >= distance.max() - 2 * uncertain - _ROUNDING)
    return blocks


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the pixels (N, 2) outside of which one is the nearest to any pixel inside: those that touch the mask.

    From any other, a step towards the mask stays outside.
    """
    touching = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (-1, 1):
            touching |= np.roll(inside, step, axis)
    outline: NDArray[np.int64] = np.argwhere(touching & ~inside)
    return outline


def _innermost(inside: NDArray[np.bool_], blocks: NDArray[np.int64], outline: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pixel in ``blocks`` (N, 2) that is farthest from ``outline``; the first, row by row, of equals."""
    probe = blocks * _BLOCK + _BLOCK // 2
    distance = np.sqrt(_squared_distances(probe, outline)) * inside[probe[:, 0], probe[:, 1]]
    # A step changes the distance by no more than its length.
    best = blocks[distance >= distance.max() - np.sqrt(2) * (_BLOCK // 2) - _ROUNDING]
    in_block = np.argwhere(np.ones((_BLOCK, _BLOCK), dtype=bool))
    pixels = (best[:, None] * _BLOCK + in_block).reshape(-1, 2)
    pixels = pixels[inside[pixels[:, 0], pixels[:, 1]]]
    squared = _squared_distances(pixels, outline)
    farthest = pixels[squared == squared.max()]
    first: NDArray[np.int64] = farthest[np.lexsort((farthest[:, 1], farthest[:, 0]))[0]]
    return first


def _squared_distances(pixels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared distance of each of ``pixels`` (N, 2) to the nearest of ``others`` (M, 2): (N,), exact."""
    these, those = pixels.astype(np.float64), others.astype(np.float64)
    lengths = (those**2).sum(axis=1)
    some = max(1, _DISTANCES // len(those))
    nearest = [
        (lengths - 2 * these[start : start + some] @ those.T).min(axis=1) for start in range(0, len(these), some)
    ]
    squared: NDArray[np.float64] = np.concatenate(nearest) + (these**2).sum(axis=1)
    return squared
