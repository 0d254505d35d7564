"""Painting regions of stuff, and what a backdrop tells about itself."""

from dataclasses import dataclass

import numpy as np

from edge_sam.synthesis.canvas import Canvas
from edge_sam.synthesis.catalog import Builder
from edge_sam.synthesis.outlines import Outline, fractal_line
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import Mask, bounds, rasterize
from edge_sam.synthesis.textures import Texture


@dataclass(frozen=True)
class Stage:
    """How things are put on a backdrop.

    Attributes:
        builders: what appears, and how often.
        horizon: row of the horizon where things stand on a ground; None where they lie anywhere.
        shadow: kind of their shadows, see :class:`Placement`.
        turned: whether they lie at any angle.
    """

    builders: dict[Builder, float]
    horizon: float | None = None
    shadow: str = ""
    turned: bool = False


def paint_region(canvas: Canvas, mask: Mask, texture: Texture, node: int | None, softness: float = 0.7) -> None:
    """Paint stuff where a mask of the whole picture holds."""
    rows = np.flatnonzero(mask.any(1))
    if len(rows):
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        colors = texture.render(top, 0, bottom - top, canvas.width)
        canvas.paint(mask[top:bottom], colors, top, 0, node, softness)


def paint_outline(
    canvas: Canvas, outlines: list[Outline], texture: Texture, node: int | None, soft: float = 0.7
) -> None:
    """Paint stuff inside of outlines in pixels."""
    top, left, height, width = bounds(outlines, canvas.height, canvas.width)
    if height and width:
        colors = texture.render(top, left, height, width)
        canvas.paint(rasterize(outlines, top, left, height, width), colors, top, left, node, soft)


def below(canvas: Canvas, random: Randomness, row: float, swing: float, roughness: float, smooth: int = 0) -> Mask:
    """Return the pixels below a random line around ``row``."""
    line = row + swing * fractal_line(random, canvas.width, roughness, smooth)
    return np.arange(canvas.height)[:, None] >= line[None]


def maybe_blur(canvas: Canvas, random: Randomness, probability: float) -> None:
    """Put all that is painted so far out of focus, in a share of the pictures."""
    if random.chance(probability):
        canvas.blur(random.between(0.8, 4.0) * canvas.scale)
