"""The examples of the page: pictures with masks and prompts drawn into them."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from edge_sam.demo.examples import Answer, Example
from edge_sam.pages.pictures import (
    BACKGROUND_CLICK,
    PROMPT,
    TRUTH,
    Colour,
    Mask,
    Pixels,
    draw_box,
    draw_point,
    jpeg,
    mask_edge,
    shown,
    shown_mask,
    spotlight,
)


def photograph(example: Example) -> str:
    """Return the bare picture."""
    return jpeg(shown(example.picture))


def with_prompt(example: Example) -> str:
    """Return the picture with the first prompt."""
    image = Image.fromarray(shown(example.picture))
    scale = image.width / example.picture.shape[1]
    draw = ImageDraw.Draw(image)
    if example.kind == "box":
        draw_box(draw, [float(value) * scale for value in example.box], PROMPT)
    else:
        draw_point(draw, (example.point[0] * scale, example.point[1] * scale), PROMPT)
    return jpeg(np.asarray(image))


def with_truth(example: Example) -> str:
    """Return the annotated mask."""
    return jpeg(spotlight(example.picture, example.truth, TRUTH))


def with_answer(example: Example, answer: Answer, colour: Colour) -> str:
    """Return a model's mask, and the clicks that led to it where there were any after the first prompt."""
    image = Image.fromarray(spotlight(example.picture, answer.mask, colour))
    scale = image.width / example.picture.shape[1]
    draw = ImageDraw.Draw(image)
    for (x, y), label in zip(answer.points[1:], answer.labels[1:], strict=True):
        draw_point(draw, (x * scale, y * scale), PROMPT if label else BACKGROUND_CLICK)
    return jpeg(np.asarray(image))


def with_all_masks(picture: Pixels, masks: list[Mask]) -> str:
    """Return a picture with the outlines and a tint of many masks, the smaller ones above."""
    scaled = shown(picture).astype(np.float64)
    size = (scaled.shape[1], scaled.shape[0])
    for number, mask in sorted(enumerate(masks), key=lambda pair: -int(pair[1].sum())):
        small = shown_mask(mask, size)
        tint = np.array(_hue(number))
        scaled[small] = 0.6 * scaled[small] + 0.4 * tint
        scaled[mask_edge(small, 1)] = tint
    return jpeg(scaled.round().astype(np.uint8))


def _hue(number: int) -> Colour:
    """Return the ``number``-th of colours that lie far from each other on the wheel."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.38 % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)
