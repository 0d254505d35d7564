"""Colours of materials, and ramps from dark to light or from one colour to another."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_sam.synthesis.randomness import Randomness

Color = tuple[float, float, float]
"""Red, green and blue, 0..255."""
Ramp = NDArray[np.uint8]
"""``(256, 3)``: the colour of each value of a field."""


@dataclass(frozen=True)
class Material:
    """What stuff of a kind looks like.

    Attributes:
        colors: typical ones; each use varies one of them.
        patterns: of :class:`edge_sam.synthesis.textures.Texture`, with how often each is used.
        contrast: range of the share by which a ramp is darker and lighter than its colour.
        second_color: how often the ramp leads to another colour of the kind instead.
    """

    colors: tuple[Color, ...]
    patterns: dict[str, float]
    contrast: tuple[float, float]
    second_color: float = 0.2


_EARTH = ((120, 95, 65), (160, 130, 90), (196, 170, 125), (90, 72, 52), (140, 120, 95), (175, 110, 75), (60, 50, 40))
_GREEN = ((70, 95, 45), (100, 120, 55), (45, 65, 35), (130, 140, 80), (85, 105, 70), (60, 85, 60), (150, 150, 70))
_GREY = ((120, 120, 118), (160, 158, 150), (85, 88, 92), (200, 198, 192), (55, 55, 58), (140, 128, 115))
_FUR = ((110, 75, 45), (60, 45, 35), (180, 140, 95), (215, 195, 165), (45, 42, 42), (145, 120, 95), (235, 232, 225))
_BRIGHT = (
    *((190, 40, 35), (30, 70, 150), (225, 185, 40), (40, 120, 70), (235, 235, 235), (30, 30, 34), (215, 110, 40)),
    *((110, 50, 120), (80, 150, 190), (220, 150, 165), (130, 25, 40), (60, 60, 110), (240, 225, 190)),
)

MATERIALS = {
    "sky": Material(
        (
            (110, 150, 205),
            (165, 190, 215),
            (205, 210, 215),
            (70, 110, 175),
            (225, 200, 175),
            (60, 65, 90),
            (235, 238, 240),
        ),
        {"flat": 3, "clouds": 2, "smooth": 1},
        (0.03, 0.16),
        0.3,
    ),
    "water": Material(
        ((50, 85, 110), (75, 120, 140), (40, 60, 65), (110, 140, 150), (35, 95, 105), (95, 105, 95), (150, 170, 185)),
        {"clouds": 2, "ridges": 2, "rough": 2, "stripes": 1, "flat": 0.7},
        (0.08, 0.35),
    ),
    "plants": Material(
        (*_GREEN, (165, 120, 50), (40, 50, 25)),
        {"rough": 3, "cells": 3, "clouds": 2, "strokes": 3, "ridges": 1},
        (0.25, 0.75),
        0.3,
    ),
    "soil": Material(
        (*_EARTH, *_GREEN[:4], (230, 225, 218), (205, 185, 150)),
        {"rough": 3, "clouds": 3, "strokes": 2, "cells": 1, "ridges": 1, "flat": 0.5},
        (0.08, 0.45),
        0.25,
    ),
    "stone": Material(
        _GREY + _EARTH,
        {"clouds": 3, "rough": 3, "ridges": 2, "cells": 1, "strokes": 1},
        (0.12, 0.55),
        0.2,
    ),
    "fur": Material(
        _FUR,
        {"strokes": 4, "rough": 2, "clouds": 2, "patches": 1.5, "stripes": 1, "spots": 1, "flat": 0.5},
        (0.12, 0.5),
        0.3,
    ),
    "skin": Material(
        ((225, 180, 150), (200, 150, 120), (150, 105, 80), (95, 65, 50), (240, 205, 180)),
        {"flat": 3, "clouds": 2},
        (0.04, 0.15),
        0.0,
    ),
    "cloth": Material(
        _BRIGHT + _GREY + _EARTH,
        {"flat": 3, "clouds": 3, "stripes": 1.5, "checks": 0.5, "plaid": 1, "spots": 0.7, "patches": 0.7, "strokes": 1},
        (0.06, 0.4),
        0.35,
    ),
    "paint": Material(
        _BRIGHT + _GREY,
        {"flat": 5, "clouds": 2, "smooth": 1, "stripes": 0.5, "speckle": 0.7},
        (0.03, 0.2),
        0.15,
    ),
    "wall": Material(
        _GREY + _EARTH + ((230, 222, 205), (205, 180, 150), (150, 80, 60), (180, 190, 195)),
        {"flat": 3, "bricks": 2, "clouds": 2, "rough": 1, "stripes": 1, "plaid": 0.4, "windows": 0.7},
        (0.05, 0.3),
        0.1,
    ),
    "wood": Material(
        ((140, 95, 55), (95, 62, 38), (185, 145, 95), (120, 100, 80), (70, 55, 45), (165, 150, 130)),
        {"strokes": 4, "stripes": 2, "ridges": 1, "clouds": 1},
        (0.12, 0.4),
        0.1,
    ),
}


def draw_color(random: Randomness, material: Material) -> Color:
    """Return a variation of one of the material's colours."""
    red, green, blue = random.choice(material.colors)
    brightness = random.between(0.65, 1.25)
    grey, gray_share = (red + green + blue) / 3.0, random.between(0.0, 0.5)
    drift = [random.signed(12.0) for _ in range(3)]
    if random.chance(0.04):
        red, green, blue = random.between(20, 240), random.between(20, 240), random.between(20, 240)
    values = [value + (grey - value) * gray_share for value in (red, green, blue)]
    mixed = [_clipped(value * brightness + shift) for value, shift in zip(values, drift, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def near(random: Randomness, color: Color, distance: float) -> Color:
    """Return a colour that differs from another by up to ``distance`` in brightness and a third of it in hue."""
    lighter = random.signed(distance)
    mixed = [_clipped(value + lighter + random.signed(distance / 3.0)) for value in color]
    return mixed[0], mixed[1], mixed[2]


def shade_ramp(random: Randomness, color: Color, contrast: float) -> Ramp:
    """Return a ramp from darker to lighter; shadows lean to blue or to brown, lights to yellow, as in photographs."""
    warm = random.signed(0.12)
    dark = scaled(color, 1.0 - contrast, (1.0 - warm * contrast, 1.0, 1.0 + warm * contrast))
    light = scaled(color, 1.0 + contrast, (1.0 + warm * contrast, 1.0, 1.0 - warm * contrast))
    return ramp([(0.0, dark), (0.5, color), (1.0, light)])


def two_color_ramp(random: Randomness, one: Color, other: Color, sharpness: float) -> Ramp:
    """Return a ramp between two colours that changes within ``1 - sharpness`` of its length."""
    middle, half = random.between(0.35, 0.65), (1.0 - sharpness) * 0.35
    stops = [(0.0, scaled(one, 0.85)), (middle - half, one), (middle + half, other), (1.0, scaled(other, 1.1))]
    return ramp(stops)


def ramp(stops: list[tuple[float, Color]]) -> Ramp:
    """Interpolate between (position, colour) pairs; positions rise from 0 to 1."""
    values = np.empty((256, 3))
    for (start, first), (end, second) in pairwise(stops):
        low, high = int(start * 255), int(end * 255)
        share = (np.arange(low, high + 1) - low) / max(high - low, 1)
        values[low : high + 1] = np.array(first) + share[:, None] * (np.array(second) - np.array(first))
    return np.clip(values, 0.0, 255.0).astype(np.uint8)


def scaled(color: Color, factor: float, tint: Color = (1.0, 1.0, 1.0)) -> Color:
    """Multiply a colour."""
    values = [_clipped(value * factor * part) for value, part in zip(color, tint, strict=True)]
    return values[0], values[1], values[2]


def mixed(one: Color, other: Color, share: float) -> Color:
    """Return ``one``, moved to ``other`` by a share of the way."""
    values = [first + (second - first) * share for first, second in zip(one, other, strict=True)]
    return values[0], values[1], values[2]


def _clipped(value: float) -> float:
    return min(max(value, 4.0), 251.0)
