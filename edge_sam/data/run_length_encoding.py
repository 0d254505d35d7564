"""Masks as COCO's run lengths, made from the part of the picture that they lie in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils


def encode_crop(crop: NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> NDArray[np.int64]:
    """Return the run lengths of a mask that is empty outside of a crop, without making it whole.

    Args:
        crop: (h, w).
        left: column of the crop's first column in the picture.
        top: row of the crop's first row.
        size: (H, W) of the picture.

    Returns:
        (n,): lengths in column order, a run of 0 (perhaps of length 0) first.
    """
    height, width = size
    padded = np.zeros((crop.shape[1], crop.shape[0] + 2), dtype=bool)
    padded[:, 1:-1] = crop.T
    column, row = np.divmod(np.flatnonzero(padded[:, 1:] != padded[:, :-1]), crop.shape[0] + 1)
    places = (column + left) * height + row + top
    # Where a run reaches the picture's bottom and the next column begins at its top, it ends and begins at one place.
    twice = places[1:] == places[:-1]
    once = np.ones(len(places), dtype=bool)
    once[1:][twice] = False
    once[:-1][twice] = False
    runs: NDArray[np.int64] = np.diff(places[once], prepend=0, append=height * width)
    return runs if runs[-1] else runs[:-1]


def decode_runs(runs: Sequence[int] | NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask bool (H, W) of run lengths that cover a picture of ``size`` (H, W)."""
    height, width = size
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def covers(
    runs: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64], height: int
) -> NDArray[np.bool_]:
    """Return for pixels, rows and columns (n,), of a picture ``height`` pixels high whether the mask has them."""
    number_of_run = np.searchsorted(np.cumsum(runs), columns * height + rows, side="right")
    covered: NDArray[np.bool_] = number_of_run % 2 == 1
    return covered


def compress_runs(runs: NDArray[np.int64], size: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's compressed form, ``{"size": [H, W], "counts": text}``, which JSON can hold."""
    compressed = mask_utils.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
    return {"size": list(size), "counts": compressed["counts"].decode()}
