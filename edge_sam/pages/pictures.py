"""Pictures with masks and prompts drawn into them, as data that a page holds in itself."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

WIDTH = 320
"""Pixels of a picture's width: twice what a page shows it with, for screens of high resolution."""

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

TRUTH: Colour = (255, 255, 255)
PROMPT: Colour = (255, 214, 10)
BACKGROUND_CLICK: Colour = (255, 69, 58)
_HALO: Colour = (20, 20, 20)
_DIM = (0.4, 16)
"""Contrast and brightness outside of a mask, in grey; black pictures stay visible."""
_TINT = 0.22
"""How much of its colour is laid over a mask; it tells a dark one from its surroundings."""


def shown_size(picture: Pixels) -> tuple[int, int]:
    """Return width and height with which a picture is drawn."""
    return WIDTH, max(round(picture.shape[0] * WIDTH / picture.shape[1]), 1)


def shown(picture: Pixels) -> Pixels:
    """Return a picture RGB uint8 (H, W, 3) at the size that it is drawn with."""
    return np.array(Image.fromarray(picture).resize(shown_size(picture), Image.Resampling.LANCZOS))


def shown_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Return a mask bool (H, W) of a picture that is drawn with ``size`` (width, height)."""
    resized = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return np.asarray(resized) >= 128


def spotlight(picture: Pixels, mask: Mask, colour: Colour) -> Pixels:
    """Draw a picture: tinted inside the mask, dim outside, with the border of the mask."""
    scaled = shown(picture)
    small = shown_mask(mask, (scaled.shape[1], scaled.shape[0]))
    outside = _DIM[0] * scaled.mean(axis=2, keepdims=True) + _DIM[1]
    inside = (1 - _TINT) * scaled + _TINT * np.array(colour)
    drawn: Pixels = np.where(small[..., None], inside, outside).astype(np.uint8)
    drawn[mask_edge(small, 2)] = colour
    return drawn


def mask_edge(mask: Mask, width: int) -> Mask:
    """Return the ``width`` outermost pixels of a mask; the picture's own border is none."""
    inner: Mask = ndimage.binary_erosion(mask, iterations=width, border_value=1)
    return mask & ~inner


def draw_point(draw: ImageDraw.ImageDraw, centre: tuple[float, float], colour: Colour) -> None:
    """Draw a point prompt or a click."""
    for radius, fill in ((9, _HALO), (7.5, (255, 255, 255)), (5.5, colour)):
        draw.ellipse([centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius], fill=fill)


def draw_box(draw: ImageDraw.ImageDraw, corners: list[float], colour: Colour) -> None:
    """Draw a box XYXY."""
    draw.rectangle(corners, outline=_HALO, width=5)
    left, top, right, bottom = corners
    if right - left > 2 and bottom - top > 2:
        draw.rectangle([left + 1, top + 1, right - 1, bottom - 1], outline=colour, width=3)


def jpeg(pixels: Pixels) -> str:
    """Return a picture as an address that holds it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
