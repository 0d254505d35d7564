"""Light on things: relief, highlights and the shadows that they cast.

Shading works on small copies of the masks, since light varies slowly.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge_sam.synthesis.fields import SIDE, Field, fields
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import Mask, blurred, resized

_SMALL = 48


@dataclass(frozen=True)
class Light:
    """The one light of a scene.

    Attributes:
        x: of the direction to the light, to the right.
        y: of the direction to the light, downwards; mostly negative.
        strength: contrast of relief, 0..1.
        shadow: darkness of cast shadows, 0..1.
    """

    x: float
    y: float
    strength: float
    shadow: float


def draw_light(random: Randomness) -> Light:
    """Return a light from above, left or right, hard or soft."""
    x = random.signed(1.0)
    y = -math.sqrt(max(1.0 - x * x, 0.0)) * (0.85 if random.chance(0.93) else -0.5)
    return Light(x, y, random.between(0.12, 0.65), random.between(0.0, 0.65))


def relief(mask: Mask, light: Light, roundness: float) -> Field:
    """Return the brightness of a bulging surface: 128 is neutral.

    The height is the mask, blurred; it is lit where it slopes towards the light and darker towards its rim.

    Args:
        mask: of the surface.
        light: of the scene.
        roundness: 0 for a flat surface with a slight slope at the rim, 1 for a ball.
    """
    height, width = mask.shape
    scale = max(max(height, width) / _SMALL, 1.0)
    small_height, small_width = max(int(height / scale), 1), max(int(width / scale), 1)
    radius = max(int(min(small_height, small_width) * (0.08 + 0.22 * roundness)), 1)
    border = radius + 1
    framed = Image.new("L", (small_width + 2 * border, small_height + 2 * border))
    framed.paste(_shrunk(mask, small_height, small_width), (border, border))
    framed = framed.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(max(radius // 2, 1)))
    heights = np.asarray(framed)[radius:-radius, radius:-radius].astype(np.float32)
    slope_y = (heights[2:, 1:-1] - heights[:-2, 1:-1]) * np.float32(-0.5)
    slope_x = (heights[1:-1, 2:] - heights[1:-1, :-2]) * np.float32(-0.5)
    facing = slope_x * np.float32(light.x) + slope_y * np.float32(light.y)
    gain = np.float32((2 * radius + 1) * (0.35 + 0.65 * roundness) * light.strength)
    rim = (heights[1:-1, 1:-1] - np.float32(200.0)) * np.float32(0.22 * roundness)
    shade = np.clip(np.float32(128.0) + facing * gain + rim, 24.0, 235.0).astype(np.uint8)
    return resized(shade, height, width)


def folds(random: Randomness, height: int, width: int) -> Field:
    """Return the brightness of an uneven surface: wrinkles, dents, muscles, stains; 128 is neutral."""
    down, right, strength = random.integer(1, 4), random.integer(1, 4), random.integer(15, 75)
    rows = (np.arange(height) * down + random.below(SIDE)) & (SIDE - 1)
    columns = (np.arange(width) * right + random.below(SIDE)) & (SIDE - 1)
    field = fields().clouds[np.ix_(rows, columns)].astype(np.int16) - 128
    brightness: Field = (128 + (field * np.int16(strength) >> 7)).astype(np.uint8)
    return brightness


def _shrunk(mask: Mask, height: int, width: int) -> Image.Image:
    """Return a mask as 0..255 in a smaller size; every pixel is the average of those it stands for."""
    return Image.fromarray(mask.view(np.uint8) * np.uint8(255)).resize((width, height), Image.Resampling.BOX)


def highlight(height: int, width: int, center: tuple[float, float], radius: float) -> NDArray[np.int16]:
    """Return a soft spot, 0..255, that falls off with the distance from ``center`` (x, y)."""
    rows = (np.arange(height) - center[1]) / radius
    columns = (np.arange(width) - center[0]) / radius
    falloff = np.maximum(1.0 - (rows * rows)[:, None] - (columns * columns)[None], 0.0)
    return np.floor(falloff * falloff * 255.0).astype(np.int16)


def cast_shadow(
    mask: Mask, shift: tuple[float, float], squash: float, shear: float, softness: float
) -> tuple[Field, int]:
    """Return the shadow of a mask, 0..255, on a rectangle that is larger by a margin on each side.

    Args:
        mask: of the thing, ``(h, w)``.
        shift: of the shadow to the right and down, as share of the mask's height.
        squash: height of the shadow, as share of the mask's; its foot stays.
        shear: how far the shadow leans to the right, as share of its height.
        softness: radius of its edge, as share of the mask's height.

    Returns:
        ``(h + 2 m, w + 2 m)`` and the margin m.
    """
    height, width = mask.shape
    margin = max(height, width) // 2 + 2
    scale = max((height + 2 * margin) / 96.0, (width + 2 * margin) / 96.0, 1.0)
    small = np.asarray(_shrunk(mask, max(int(height / scale), 1), max(int(width / scale), 1)))
    rows, columns = int((height + 2 * margin) / scale), int((width + 2 * margin) / scale)
    foot = small.shape[0] + margin / scale
    y = (np.arange(rows) - foot - shift[1] * small.shape[0]) / squash + small.shape[0]
    x = np.arange(columns)[None] - (margin / scale + shift[0] * small.shape[0]) - shear * (small.shape[0] - y)[:, None]
    source_row, source_column = np.floor(y + 0.5).astype(np.int64), np.floor(x + 0.5).astype(np.int64)
    inside = ((source_row >= 0) & (source_row < small.shape[0]))[:, None]
    inside = inside & (source_column >= 0) & (source_column < small.shape[1])
    clipped_row = np.clip(source_row, 0, small.shape[0] - 1)[:, None]
    shadow = np.where(inside, small[clipped_row, np.clip(source_column, 0, small.shape[1] - 1)], 0).astype(np.uint8)
    shadow = blurred(shadow, max(softness * small.shape[0], 0.8))
    return resized(shadow, height + 2 * margin, width + 2 * margin), margin
