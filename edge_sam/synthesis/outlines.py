"""Outlines of things: closed polygons, ``(n, 2)`` float64 arrays of x and y, y downwards.

Things are about 2 units high and wide, around the origin; the feet of a standing thing are at y = 1. All outlines turn
the same way, from x to y, so that unions are filled by the non-zero rule.
"""

import functools
import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_sam.synthesis.randomness import Randomness, rounded

Outline = NDArray[np.float64]
Point = tuple[float, float]


@functools.cache
def circle(count: int = 32) -> Outline:
    """Return ``count`` points of the unit circle."""
    angles = [2.0 * math.pi * index / count for index in range(count)]
    return np.array([[rounded(math.cos(angle)), rounded(math.sin(angle))] for angle in angles])


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0) -> Outline:
    """Return an ellipse around (x, y)."""
    return transformed(circle() * (radius_x, radius_y), 1.0, angle, (x, y))


def rectangle(left: float, top: float, right: float, bottom: float) -> Outline:
    """Return an upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def superellipse(x: float, y: float, radius_x: float, radius_y: float, squareness: int) -> Outline:
    """Return an ellipse (``squareness`` 0) that grows into a rectangle with round corners (1, 2, 3)."""
    points = circle(48)
    for _ in range(squareness):
        points = np.sign(points) * np.sqrt(np.abs(points))
    return points * (radius_x, radius_y) + (x, y)


def blob(random: Randomness, irregularity: float = 0.35, lobes: int = 6) -> Outline:
    """Return a smooth closed curve: a circle whose radius is a short Fourier series."""
    count = 64
    unit = circle(count)
    radius = np.ones(count)
    for wave in range(2, lobes + 1):
        turn = (np.arange(count) * wave + random.below(count)) % count
        radius = radius + unit[turn, 0] * (random.signed(irregularity) * 2.0 / (wave + 1))
    return unit * np.maximum(radius, 0.15)[:, None] * (1.0, random.between(0.45, 1.0))


def irregular_polygon(random: Randomness, corners: int) -> Outline:
    """Return a polygon whose corners lie around the origin."""
    angles = [(index + random.between(0.15, 0.85)) * 2.0 * math.pi / corners for index in range(corners)]
    radii = [random.between(0.55, 1.0) for _ in range(corners)]
    pairs = zip(angles, radii, strict=True)
    return np.array([[rounded(math.cos(a)) * r, rounded(math.sin(a)) * r] for a, r in pairs])


def star(points: int, inner: float) -> Outline:
    """Return a star, or with many points and a large ``inner`` a cog wheel."""
    outline = circle(2 * points).copy()
    outline[1::2] *= inner
    return outline


def leaf(start: tuple[float, float], end: tuple[float, float], width: float) -> Outline:
    """Return a lens from ``start`` to ``end``, at its middle ``width`` of its length wide."""
    (x0, y0), (x1, y1) = start, end
    along = np.arange(9) / 8.0
    bulge = 2.0 * width * along * (1.0 - along)
    across = np.array([y0 - y1, x1 - x0])
    spine = np.stack([x0 + (x1 - x0) * along, y0 + (y1 - y0) * along], 1)
    one, other = spine + bulge[:, None] * across, spine - bulge[:, None] * across
    return np.concatenate([other, one[::-1]])


def capsule(start: tuple[float, float], end: tuple[float, float], radius: float, end_radius: float) -> Outline:
    """Return the outline around two discs, e.g. a piece of a limb."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(math.sqrt(dx * dx + dy * dy), 1e-6)
    along, half = np.array([dx / length, dy / length]), circle(16)
    across = np.array([-along[1], along[0]])
    arc = half[:9, :1] * across + half[:9, 1:] * along  # from one side over the tip to the other
    first = np.array(start) - radius * (half[:9, :1] * across + half[:9, 1:] * along)
    return np.concatenate([np.array(end) + end_radius * arc, first])[::-1]


def limb(points: list[tuple[float, float]], widths: list[float]) -> list[Outline]:
    """Return capsules along a line of points, ``widths`` (radii) at each."""
    return [
        capsule(points[index], points[index + 1], widths[index], widths[index + 1]) for index in range(len(points) - 1)
    ]


def lathe(random: Randomness, knots: int = 5) -> Outline:
    """Return a shape that is symmetrical around the vertical, like a bottle, a cup, a lamp or a mushroom."""
    slim = random.between(0.25, 0.9)
    profile = [[slim * random.between(0.25, 1.0), -1.0 + 2.0 * index / (knots - 1)] for index in range(knots)]
    right = np.array(profile)
    both = np.concatenate([right, (right * (-1.0, 1.0))[::-1]])
    return smoothed(both, random.integer(0, 3))


def smoothed(outline: Outline, times: int = 2) -> Outline:
    """Cut corners (Chaikin)."""
    for _ in range(times):
        after = np.roll(outline, -1, axis=0)
        pairs = np.stack([outline * 0.75 + after * 0.25, outline * 0.25 + after * 0.75], 1)
        outline = pairs.reshape(-1, 2)
    return outline


def roughened(random: Randomness, outline: Outline, amount: float, times: int = 3) -> Outline:
    """Displace midpoints of edges by up to ``amount`` of their length: rock, torn edges, coasts."""
    for _ in range(times):
        after = np.roll(outline, -1, axis=0)
        noise = (random.bytes(len(outline)).astype(np.float64) - 127.5) * (amount / 127.5)
        edge = after - outline
        across = np.stack([-edge[:, 1], edge[:, 0]], 1)
        middle = outline + edge * 0.5 + across * noise[:, None]
        outline = np.stack([outline, middle], 1).reshape(-1, 2)
    return outline


def smoothed_line(points: list[Point]) -> list[Point]:
    """Cut the corners of an open line twice; its ends stay."""
    for _ in range(2):
        cut = [points[0]]
        for (x0, y0), (x1, y1) in pairwise(points):
            cut += [(x0 * 0.75 + x1 * 0.25, y0 * 0.75 + y1 * 0.25), (x0 * 0.25 + x1 * 0.75, y0 * 0.25 + y1 * 0.75)]
        points = [*cut, points[-1]]
    return points


def fractal_line(random: Randomness, count: int, roughness: float, smooth: int = 0) -> NDArray[np.float64]:
    """Return ``count`` heights in about [-1, 1] of a random line: hills, shores, the top of a hedge.

    Args:
        random: is drawn from.
        count: of heights.
        roughness: ratio of the amplitudes of one octave and the one before; 0.35 is hills, 0.7 a rough rock.
        smooth: octaves that are left out at the fine end.
    """
    heights = np.array([random.signed(), random.signed(), random.signed()])
    amplitude = 0.7
    while len(heights) < count:
        fine = len(heights) * (1 << smooth) >= count
        noise = (random.bytes(len(heights) - 1).astype(np.float64) - 127.5) * (amplitude / 127.5)
        middle = (heights[1:] + heights[:-1]) * 0.5 + (0.0 if fine else 1.0) * noise
        longer = np.empty(2 * len(heights) - 1)
        longer[0::2], longer[1::2] = heights, middle
        heights, amplitude = longer, amplitude * roughness
    start = random.below(len(heights) - count + 1)
    return heights[start : start + count]


def transformed(
    outline: Outline, scale: float, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), mirrored: bool = False
) -> Outline:
    """Mirror left-right, turn, scale and shift, in this order."""
    cosine, sine = rounded(math.cos(angle)) * scale, rounded(math.sin(angle)) * scale
    x, y = outline[:, 0] * (-1.0 if mirrored else 1.0), outline[:, 1]
    return np.stack([x * cosine - y * sine + shift[0], x * sine + y * cosine + shift[1]], 1)
