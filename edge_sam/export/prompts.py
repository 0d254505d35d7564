"""The prompts that exported graphs are compared on: a photograph's own points and boxes, the same in every run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sam.runtime.predictor import GraphPredictor

_PLACES = ((0.5, 0.5), (0.25, 0.3), (0.7, 0.35), (0.3, 0.75), (0.75, 0.7))
"""Points of the first prompts, as shares of width and height."""


@dataclass(frozen=True)
class Prompt:
    """Arguments of :meth:`edge_sam.runtime.predictor.GraphPredictor.predict`, for one object or for N."""

    point_coords: NDArray[np.float64] | None = None
    point_labels: NDArray[np.int64] | None = None
    box: NDArray[np.float64] | None = None
    mask_input: NDArray[np.float32] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return them by name."""
        return dict(vars(self))


def prompts_of_picture(reference: GraphPredictor) -> Iterator[Prompt]:
    """Give the prompts for the picture that was set: a point, its mask's box, box and point, two points and a mask.

    Then two of these points, and two of the boxes, as objects that are asked for together. Boxes and masks are what the
    reference answers to the point, so that they are where objects are.
    """
    height, width = reference.original_size
    places = np.array(_PLACES) * (width, height)
    one = np.ones(1, np.int64)
    boxes = []
    for place in places:
        point = place[None]
        masks, scores, low_resolution = reference.predict(point, one)
        best = int(scores.argmax())
        box = _box_of(masks[best])
        boxes.append(box)
        yield Prompt(point, one)
        yield Prompt(box=box)
        yield Prompt(point, one, box)
        corner = np.concatenate([point, box[None, :2]])
        yield Prompt(corner, np.array([1, 0]), mask_input=low_resolution[best : best + 1])
    # Two: masks of the size of large photographs take gigabytes, and graphs are traced with three.
    yield Prompt(places[:2, None], np.ones((2, 1), np.int64))
    yield Prompt(box=np.stack(boxes[:2]))


def _box_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the box XYXY of a mask; the whole picture's for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.array([0, 0, mask.shape[1], mask.shape[0]], np.float64)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
