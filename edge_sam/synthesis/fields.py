"""Grey fields that repeat without a seam, from which textures are cut: noise of several kinds and cells.

They are made once a process. Everything is integers, so that all machines agree.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sam.synthesis.randomness import Randomness

Field = NDArray[np.uint8]
SIDE = 512
"""Pixels of each side of a field."""
_CELLS = 16


@dataclass(frozen=True)
class Fields:
    """Fields of ``SIDE`` x ``SIDE`` whose values 0..255 are about equally frequent.

    Attributes:
        smooth: noise without detail; a feature is about 64 pixels.
        clouds: noise with all octaves, each half the one before.
        rough: noise with all octaves, nearly equally strong.
        cell_depth: a random mosaic of 32 pixels a cell: high inside of a cell, low at its border.
        cell_value: the same mosaic, one random value a cell.
    """

    smooth: Field
    clouds: Field
    rough: Field
    cell_depth: Field
    cell_value: Field


@functools.cache
def fields() -> Fields:
    """Return the fields, the same ones always."""
    random = Randomness(2023)
    depth, value = _cells(random)
    return Fields(
        smooth=_noise(random, [3, 4, 5], [5, 4, 2]),
        clouds=_noise(random, range(2, 10), [256, 180, 120, 72, 42, 25, 15, 9]),
        rough=_noise(random, range(3, 10), [16, 16, 16, 15, 14, 13, 12]),
        cell_depth=depth,
        cell_value=value,
    )


def _noise(random: Randomness, octaves: "range | list[int]", weights: list[int]) -> Field:
    total = np.zeros((SIDE, SIDE), np.int64)
    for octave, weight in zip(octaves, weights, strict=True):
        total += weight * _standardized(_octave(random, 1 << octave))
    return _equalized(total)


def _octave(random: Randomness, side: int) -> NDArray[np.int64]:
    """Return white noise of ``side`` x ``side`` values, enlarged smoothly."""
    block = SIDE // side
    values = random.bytes(side, side).astype(np.int64)
    values = np.repeat(np.repeat(values, block, 0), block, 1)
    for axis in (0, 1, 0, 1):
        values = _cyclic_mean(values, block, axis)
    return values


def _cyclic_mean(values: NDArray[np.int64], width: int, axis: int) -> NDArray[np.int64]:
    if width == 1:
        return values
    values = np.moveaxis(values, axis, 0)
    sums = np.cumsum(np.concatenate([values[-width:], values]), 0)
    return np.moveaxis((sums[width:] - sums[:-width]) * 4 // width, 0, axis)


def _standardized(values: NDArray[np.int64]) -> NDArray[np.int64]:
    centered = values - int(values.sum()) // values.size
    deviation = int(np.abs(centered).sum()) // values.size
    return centered * 1024 // max(deviation, 1)


def _equalized(values: NDArray[np.int64]) -> Field:
    low, high = int(values.min()), int(values.max())
    steps = (values - low) * 4095 // max(high - low, 1)
    ranks = np.cumsum(np.bincount(steps.ravel(), minlength=4096))
    return (ranks * 255 // values.size).astype(np.uint8)[steps]


def _cells(random: Randomness) -> tuple[Field, Field]:
    block = SIDE // _CELLS
    sites = random.bytes(_CELLS, _CELLS, 2).astype(np.int64) * block // 256
    values = random.bytes(_CELLS, _CELLS).astype(np.int64)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    nearest = np.full((SIDE, SIDE), 1 << 30, np.int64)
    second = nearest.copy()
    value = np.zeros((SIDE, SIDE), np.int64)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            cell_row, cell_column = rows // block + down, columns // block + right
            site = sites[cell_row % _CELLS, cell_column % _CELLS]
            y, x = cell_row * block + site[..., 0] - rows, cell_column * block + site[..., 1] - columns
            distance = y * y + x * x
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            value = np.where(closer, values[cell_row % _CELLS, cell_column % _CELLS], value)
            nearest = np.where(closer, distance, nearest)
    depth = np.floor((np.sqrt(second) - np.sqrt(nearest)) * 16).astype(np.int64)
    return _equalized(depth), value.astype(np.uint8)
