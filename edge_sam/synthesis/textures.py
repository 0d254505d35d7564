"""Textures: a pattern over the plane, coloured by a ramp.

Coordinates are fixed point: 65536 is one wavelength of the pattern.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sam.synthesis.fields import SIDE, Field, fields
from edge_sam.synthesis.outlines import circle
from edge_sam.synthesis.palettes import Ramp
from edge_sam.synthesis.randomness import rounded

Picture = NDArray[np.uint8]
Grid = NDArray[np.int32]
_ONE = 65536
_BITS = SIDE.bit_length() - 1
_WAVE = (127.5 + 127.4 * circle(256)[:, 0]).astype(np.uint8)


@dataclass(frozen=True)
class Texture:
    """How a surface looks before light falls on it.

    Attributes:
        pattern: name of a pattern, see ``PATTERNS``.
        ramp: colour of each value of the pattern.
        wavelength: of the pattern, in pixels.
        direction: cosine and sine of the angle by which the pattern is turned.
        stretch: how much longer features are along the turned y axis.
        bend: displacement of the pattern by smooth noise, in wavelengths.
        grain: strength of the fine noise upon it, 0..1.
        grain_size: of a feature of that noise, in pixels.
        drift: strength of the wide noise upon it, 0..1.
        offset: where in the fields it is cut, fixed point.
        horizon: row in which a horizontal plane would vanish; None for an upright surface.
    """

    pattern: str
    ramp: Ramp
    wavelength: float
    direction: tuple[float, float] = (1.0, 0.0)
    stretch: float = 1.0
    bend: float = 0.0
    grain: float = 0.0
    grain_size: float = 2.0
    drift: float = 0.0
    offset: tuple[int, int] = (0, 0)
    horizon: float | None = None

    def render(self, top: int, left: int, height: int, width: int) -> Picture:
        """Return the colours of a rectangle of the picture, ``(height, width, 3)``."""
        return np.take(self.ramp, self.values(top, left, height, width), axis=0)

    def values(self, top: int, left: int, height: int, width: int) -> Field:
        """Return the positions on the ramp."""
        x, y = self._plane(top, left, height, width)
        if self.pattern == "flat":
            total = np.full((height, width), 128, np.int16)
        else:
            total = PATTERNS[self.pattern](*self._coordinates(x, y)).astype(np.int16)
        if self.grain > 0:
            step = int(_ONE / 4 / self.grain_size)
            fine = _look_up(fields().rough, x * step + self.offset[1], y * step + self.offset[0], 3)
            total += (fine.astype(np.int16) - 128) * np.int16(self.grain * 64) >> 6
        if self.drift > 0 and max(height, width) >= 48:  # smaller than its features
            step = int(_ONE / max(self.wavelength * 6.0, 96.0))
            wide = _look_up(fields().smooth, x * step + self.offset[0], y * step + self.offset[1], 6)
            total += (wide.astype(np.int16) - 128) * np.int16(self.drift * 64) >> 6
        return np.clip(total, 0, 255).astype(np.uint8)

    def _plane(self, top: int, left: int, height: int, width: int) -> tuple[Grid, Grid]:
        """Return whole-pixel coordinates on the surface, to be broadcast; a plane spreads out towards its horizon."""
        rows, columns = np.arange(top, top + height, dtype=np.int32), np.arange(left, left + width, dtype=np.int32)
        if self.horizon is None:
            return columns[None], rows[:, None]
        depth = np.maximum(rows - self.horizon, 0.0) + 6.0
        spread = 160.0 / depth
        x = np.floor((columns - 200.0)[None] * spread[:, None]).astype(np.int32)
        y = np.floor(spread * 400.0).astype(np.int32)
        return x, y[:, None]

    def _coordinates(self, x: Grid, y: Grid) -> tuple[Grid, Grid]:
        cosine, sine = (rounded(part / self.wavelength) * _ONE for part in self.direction)
        along = x * np.int32(cosine) + y * np.int32(sine) + np.int32(self.offset[0])
        across = x * np.int32(-sine / self.stretch) + y * np.int32(cosine / self.stretch) + np.int32(self.offset[1])
        if self.bend > 0:
            amount = np.int32(self.bend * 512)
            swing = _look_up(fields().smooth, along >> 2, across >> 2, 6).astype(np.int32) - 128
            along = along + swing * amount
            across = across + swing[::-1, ::-1] * (amount // 2)
        return along, across


def _look_up(field: Field, along: Grid, across: Grid, feature_bits: int) -> Field:
    """Read a field at coordinates of which 65536 is ``2 ** feature_bits`` of its pixels."""
    shift = 16 - feature_bits
    mask = np.int32(SIDE - 1)
    index = (((across >> shift) & mask) << _BITS) | ((along >> shift) & mask)
    return np.take(field.reshape(-1), index)


def _checks(along: Grid, across: Grid) -> Field:
    return ((((along ^ across) >> 15) & 1) * 190 + 32).astype(np.uint8)


def _stripes(along: Grid, across: Grid) -> Field:
    return np.take(_WAVE, (along >> 8) & 255)


def _plaid(along: Grid, across: Grid) -> Field:
    return (np.take(_WAVE, (along >> 8) & 255) >> 1) + (np.take(_WAVE, (across >> 8) & 255) >> 1)


def _bricks(along: Grid, across: Grid) -> Field:
    row = across >> 15
    shifted = along + (row & 1) * 32768
    joint = ((across & 32767) < 4200) | ((shifted & 65535) < 4200)
    each = ((shifted >> 16) * 73 + row * 151) & 63
    return np.where(joint, 30, 120 + each).astype(np.uint8)


def _windows(along: Grid, across: Grid) -> Field:
    pane = ((along & 65535) > 24000) & ((across & 65535) > 28000)
    each = ((along >> 16) * 57 + (across >> 16) * 131) & 63
    return np.where(pane, 10 + each, 190).astype(np.uint8)


def _spots(along: Grid, across: Grid) -> Field:
    depth = _look_up(fields().cell_depth, along, across, 5).astype(np.int16)
    return np.clip((depth - 128) * 3 + 100, 0, 255).astype(np.uint8)


def _patches(along: Grid, across: Grid) -> Field:
    smooth = _look_up(fields().clouds, along, across, 7).astype(np.int16)
    return np.clip((smooth - 128) * 6 + 128, 0, 255).astype(np.uint8)


def _cells(along: Grid, across: Grid) -> Field:
    value = _look_up(fields().cell_value, along, across, 5) >> 1
    return value + (_look_up(fields().cell_depth, along, across, 5) >> 1)


def _ridges(along: Grid, across: Grid) -> Field:
    clouds = _look_up(fields().clouds, along, across, 7).astype(np.int16)
    ridges: Field = np.clip(255 - np.abs(clouds - 128) * 3, 0, 255).astype(np.uint8)
    return ridges


PATTERNS: dict[str, Callable[[Grid, Grid], Field]] = {
    "smooth": lambda along, across: _look_up(fields().smooth, along, across, 6),
    "clouds": lambda along, across: _look_up(fields().clouds, along, across, 7),
    "rough": lambda along, across: _look_up(fields().rough, along, across, 7),
    "strokes": lambda along, across: _look_up(fields().rough, along, across, 7),
    "speckle": lambda along, across: _look_up(fields().cell_value, along, across, 5),
    "ridges": _ridges,
    "stripes": _stripes,
    "checks": _checks,
    "plaid": _plaid,
    "bricks": _bricks,
    "windows": _windows,
    "spots": _spots,
    "patches": _patches,
    "cells": _cells,
}
