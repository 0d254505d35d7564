"""Which points of a grid need not be asked: those between points that found the same."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

_FEWEST_NEIGHBOURS = 2


def coarse_to_fine(grid: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Split a grid into every second row and column, the points in the middle of these, and the others.

    Args:
        grid: (n, 2) in the unit square; points that lie otherwise are taken as if they were in a square grid's cells.

    Returns:
        Three arrays of positions in ``grid``.
    """
    parity = _cells(grid) % 2
    odd = parity.sum(axis=1)
    return [np.flatnonzero(odd == count) for count in (0, 2, 1)]


def unspared_points(
    grid: NDArray[np.float64], masks_at: Callable[[], NDArray[np.bool_]], at_once: int
) -> Iterator[NDArray[np.int64]]:
    """Deal out the points that are to be asked, coarse to fine.

    A point is spared where a mask was found and its neighbours, which were asked, lie in the very masks that it lies
    in: then it is in the midst of something. Where masks meet, and where none was found, every point is asked.

    Args:
        grid: (n, 2) in the unit square.
        masks_at: gives bool (n, m), which of the m masks that were found by then have each point.
        at_once: points dealt out together, at most.

    Yields:
        Positions in ``grid``.
    """
    cells = _cells(grid)
    asked = np.zeros(0, np.int64)
    for level in coarse_to_fine(grid):
        if len(asked):
            level = level[~_in_the_midst(level, asked, cells, masks_at())]
        for start in range(0, len(level), at_once):
            yield level[start : start + at_once]
        asked = np.concatenate([asked, level])


def _in_the_midst(
    points: NDArray[np.int64], asked: NDArray[np.int64], cells: NDArray[np.int64], masks_at: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    if not masks_at.shape[1]:
        return np.zeros(len(points), dtype=bool)
    _, kinds = np.unique(masks_at, axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    near = (np.abs(cells[points][:, None] - cells[asked]) <= 1).all(axis=2)
    different = near & (kinds[points][:, None] != kinds[asked])
    enough = near.sum(axis=1) >= _FEWEST_NEIGHBOURS
    spared: NDArray[np.bool_] = masks_at[points].any(axis=1) & enough & ~different.any(axis=1)
    return spared


def _cells(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return column and row (n, 2) of each point among as many square cells."""
    side = max(1, round(len(grid) ** 0.5))
    cells: NDArray[np.int64] = np.minimum(grid * side, side - 1).astype(np.int64)
    return cells
