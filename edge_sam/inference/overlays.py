"""Masks drawn over their picture."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from edge_sam.errors import EdgeSamError

_LONGEST_JPEG_SIDE = 65500
_TINT = 0.45
_FOREGROUND, _BACKGROUND, _BOX = (40, 200, 80), (230, 50, 50), (255, 200, 0)
_HALO = (255, 255, 255)


def draw_masks(pixels: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> Image.Image:
    """Tint and outline masks, each in a colour of its own, the smaller ones above.

    Args:
        pixels: RGB uint8 (H, W, 3).
        masks: (H, W) each.
    """
    drawn = pixels.copy()
    for number, mask in sorted(enumerate(masks), key=lambda pair: -int(pair[1].sum())):
        if not mask.any():
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside, part = mask[window], drawn[window]
        colour = np.array(_colour(number))
        part[inside] = ((1 - _TINT) * part[inside] + _TINT * colour).astype(np.uint8)
        # The mask's own pixels at its border, where the picture ends too.
        part[inside & ~ndimage.binary_erosion(inside, iterations=_line_width(pixels))] = colour
    return Image.fromarray(drawn)


def draw_prompts(
    image: Image.Image, points: NDArray[np.float64], labels: NDArray[np.int64], boxes: NDArray[np.float64]
) -> None:
    """Draw points (P, 2), foreground green and background red by their labels (P,), and boxes (N, 4) into an image."""
    draw = ImageDraw.Draw(image)
    width = _line_width(np.asarray(image))
    for box in boxes.tolist():
        draw.rectangle(box, outline=_BOX, width=width)
    for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True):
        for radius, colour in ((3.5 * width, _HALO), (2.5 * width, _FOREGROUND if label else _BACKGROUND)):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def save_overlay(image: Image.Image, path: Path) -> None:
    """Write a JPEG file; a picture of more than 65500 pixels a side, which JPEG cannot hold, is shrunk in place.

    Raises:
        EdgeSamError: it cannot be written.
    """
    image.thumbnail((_LONGEST_JPEG_SIDE, _LONGEST_JPEG_SIDE))
    try:
        image.save(path, quality=90)
    except OSError as error:
        raise EdgeSamError(f"{path}: {error.strerror or error}") from error


def _line_width(pixels: NDArray[np.uint8]) -> int:
    height, width = pixels.shape[:2]
    longest: int = max(height, width)
    return max(round(longest / 500), 1)


def _colour(number: int) -> tuple[int, int, int]:
    """Return the ``number``-th of colours that lie far from each other on the wheel."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.38 % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)
