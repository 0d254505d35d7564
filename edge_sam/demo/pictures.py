"""Pictures with masks and prompts drawn into them, as data that a page holds in itself."""

import base64
import colorsys
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from edge_sam.demo.examples import Answer, Example, Mask

WIDTH = 320
"""Pixels of a picture's width: twice what the page shows it with, for screens of high resolution."""

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

TRUTH: Colour = (255, 255, 255)
PROMPT: Colour = (255, 214, 10)
BACKGROUND_CLICK: Colour = (255, 69, 58)
_HALO: Colour = (20, 20, 20)
_DIM = (0.4, 16)
"""Contrast and brightness outside of a mask, in grey; black pictures stay visible."""
_TINT = 0.22
"""How much of its colour is laid over a mask; it tells a dark one from its surroundings."""


def photograph(example: Example) -> str:
    """Return the bare picture."""
    return _jpeg(_scaled(example.picture))


def with_prompt(example: Example) -> str:
    """Return the picture with the first prompt."""
    image = Image.fromarray(_scaled(example.picture))
    scale = image.width / example.picture.shape[1]
    draw = ImageDraw.Draw(image)
    if example.kind == "box":
        corners = [float(value) * scale for value in example.box]
        draw.rectangle(corners, outline=_HALO, width=5)
        draw.rectangle([corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1], outline=PROMPT, width=3)
    else:
        _dot(draw, (example.point[0] * scale, example.point[1] * scale), PROMPT)
    return _jpeg(np.asarray(image))


def with_truth(example: Example) -> str:
    """Return the annotated mask."""
    return _jpeg(_spotlight(example.picture, example.truth, TRUTH))


def with_answer(example: Example, answer: Answer, colour: Colour) -> str:
    """Return a model's mask, and the clicks that led to it where there were any after the first prompt."""
    image = Image.fromarray(_spotlight(example.picture, answer.mask, colour))
    scale = image.width / example.picture.shape[1]
    draw = ImageDraw.Draw(image)
    for (x, y), label in zip(answer.points[1:], answer.labels[1:], strict=True):
        _dot(draw, (x * scale, y * scale), PROMPT if label else BACKGROUND_CLICK)
    return _jpeg(np.asarray(image))


def with_all_masks(picture: Pixels, masks: list[Mask]) -> str:
    """Return a picture with the outlines and a tint of many masks, the smaller ones above."""
    scaled = _scaled(picture).astype(np.float64)
    size = (scaled.shape[1], scaled.shape[0])
    for number, mask in sorted(enumerate(masks), key=lambda pair: -int(pair[1].sum())):
        small = _scaled_mask(mask, size)
        tint = np.array(_hue(number))
        scaled[small] = 0.6 * scaled[small] + 0.4 * tint
        scaled[_edge(small, 1)] = tint
    return _jpeg(scaled.round().astype(np.uint8))


def _spotlight(picture: Pixels, mask: Mask, colour: Colour) -> Pixels:
    """Tint the picture inside the mask, dim it outside, and draw the border."""
    scaled = _scaled(picture)
    small = _scaled_mask(mask, (scaled.shape[1], scaled.shape[0]))
    outside = _DIM[0] * scaled.mean(axis=2, keepdims=True) + _DIM[1]
    inside = (1 - _TINT) * scaled + _TINT * np.array(colour)
    drawn: Pixels = np.where(small[..., None], inside, outside).astype(np.uint8)
    drawn[_edge(small, 2)] = colour
    return drawn


def _edge(mask: Mask, width: int) -> Mask:
    """Return the ``width`` outermost pixels of a mask; the picture's own border is none."""
    inner: Mask = ndimage.binary_erosion(mask, iterations=width, border_value=1)
    return mask & ~inner


def picture_size(picture: Pixels) -> tuple[int, int]:
    """Return width and height with which a picture is drawn."""
    return WIDTH, max(round(picture.shape[0] * WIDTH / picture.shape[1]), 1)


def _scaled(picture: Pixels) -> Pixels:
    return np.array(Image.fromarray(picture).resize(picture_size(picture), Image.Resampling.LANCZOS))


def _scaled_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    resized = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return np.asarray(resized) >= 128


def _dot(draw: ImageDraw.ImageDraw, centre: tuple[float, float], colour: Colour) -> None:
    for radius, fill in ((9, _HALO), (7.5, (255, 255, 255)), (5.5, colour)):
        draw.ellipse([centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius], fill=fill)


def _hue(number: int) -> Colour:
    """Return the ``number``-th of colours that lie far from each other on the wheel."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.38 % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _jpeg(pixels: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
