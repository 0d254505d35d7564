"""One instance as a row of pictures: where it is, what was asked, what is right, what each model answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_sam.evaluation.instances import EvaluationImage
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.inference.window import Window
from edge_sam.pages.pictures import (
    PROMPT,
    TRUTH,
    WIDTH,
    Colour,
    Mask,
    Pixels,
    draw_box,
    draw_point,
    jpeg,
    shown,
    spotlight,
)

_ASPECT = 4 / 3
_ROOM = 0.6
"""So much of the object's longer side is shown around it."""
_SMALLEST = 96
"""Pixels of the file that are shown at least, from top to bottom: less is a blur."""


@dataclass(frozen=True)
class FirstPrompt:
    """What an instance is first asked for with, in pixels of the file: a box (4,) XYXY or a point (2,)."""

    place: NDArray[np.float64]

    @classmethod
    def of(cls, image: EvaluationImage, protocol: EvaluationProtocol, number: int) -> "FirstPrompt":
        """Take the prompt that the evaluation gives."""
        scale = np.array([image.original_size[axis] / image.size[axis] for axis in (1, 0)])
        if protocol.prompt_type == "box":
            return cls(image.boxes[number].astype(np.float64) * np.tile(scale, 2))
        return cls(image.first_points(protocol.ground_truth, protocol.point_from)[number].astype(np.float64) * scale)

    def draw(self, pixels: Pixels, window: Window) -> Pixels:
        """Draw it into the part of a picture that ``window`` shows, at whatever size that is drawn."""
        image = Image.fromarray(pixels)
        scale = image.width / window.shape[1]
        corner = np.tile([window.left, window.top], len(self.place) // 2)
        values = [float(value) for value in (self.place - corner) * scale]
        draw = ImageDraw.Draw(image)
        if len(values) == 4:
            draw_box(draw, values, PROMPT)
        else:
            draw_point(draw, (values[0], values[1]), PROMPT)
        return np.asarray(image)


@dataclass(frozen=True)
class CasePictures:
    """All of one size but the photograph; as data."""

    photograph: str
    prompt: str
    truth: str
    answers: tuple[str, ...]


def draw_case(
    picture: Pixels, truth: Mask, prompt: FirstPrompt, answers: Sequence[Mask], colours: Sequence[Colour]
) -> CasePictures:
    """Draw an instance; all pictures but the photograph show the surroundings of the true mask.

    Args:
        picture: RGB uint8 (H, W, 3).
        truth: bool (H, W).
        prompt: what the models were asked.
        answers: by model, bool (H, W).
        colours: by model.
    """
    window = frame_around(truth)
    rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
    crop = picture[rows, columns]
    return CasePictures(
        photograph=jpeg(_with_frame(picture, window)),
        prompt=jpeg(prompt.draw(shown(crop), window)),
        truth=jpeg(spotlight(crop, truth[rows, columns], TRUTH)),
        answers=tuple(
            jpeg(spotlight(crop, answer[rows, columns], colour))
            for answer, colour in zip(answers, colours, strict=True)
        ),
    )


def frame_around(mask: Mask) -> Window:
    """Return what to show of a picture for a mask bool (H, W) that is not empty: it and some room, 4 : 3 if it fits."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    room = 2 * _ROOM * max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    height, width = rows[-1] - rows[0] + 1 + room, columns[-1] - columns[0] + 1 + room
    height = max(height, width / _ASPECT, _SMALLEST)
    (top, bottom), (left, right) = (
        _interval((places[0] + places[-1] + 1) / 2, length, limit)
        for places, length, limit in ((rows, height, mask.shape[0]), (columns, height * _ASPECT, mask.shape[1]))
    )
    return Window(top, left, bottom, right)


def _interval(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Return whole pixels around a place, moved inside of the picture."""
    whole = min(round(length), limit)
    start = min(max(round(middle - length / 2), 0), limit - whole)
    return start, start + whole


def _with_frame(picture: Pixels, window: Window) -> Pixels:
    image = Image.fromarray(shown(picture))
    scale = WIDTH / picture.shape[1]
    corners = [window.left * scale, window.top * scale, window.right * scale - 1, window.bottom * scale - 1]
    draw_box(ImageDraw.Draw(image), corners, TRUTH)
    return np.asarray(image)
