"""Points, boxes and masks that ask for objects of a picture, checked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_sam.errors import EdgeSamError

_LABELS = (-1, 0, 1)


@dataclass(frozen=True)
class Prompts:
    """What asks for N objects; coordinates in pixels of the picture.

    Attributes:
        points: float64 (N, P, 2), (x, y), P > 0.
        labels: int64 (N, P): 1 foreground, 0 background, -1 padding.
        boxes: float64 (N, 4), XYXY, within the picture.
        masks: float32 (N, 1, m, m), logits.
        batched: whether they were given with the dimension N.
    """

    points: NDArray[np.float64] | None
    labels: NDArray[np.int64] | None
    boxes: NDArray[np.float64] | None
    masks: NDArray[np.float32] | None
    batched: bool


def check_prompts(
    point_coords: ArrayLike | None,
    point_labels: ArrayLike | None,
    box: ArrayLike | None,
    mask_input: ArrayLike | None,
    size: tuple[int, int],
    mask_side: int,
) -> Prompts:
    """Check the prompts of one object, or of N objects; any may be absent, but not all.

    No point (P = 0) is the same as none given. A box that reaches over the picture's edge is cut there.

    Args:
        point_coords: (P, 2) or (N, P, 2), (x, y) in pixels of the picture.
        point_labels: (P,) or (N, P).
        box: (4,) or (N, 4), XYXY in pixels of the picture; (1, 4) beside other prompts of one object is of that one.
        mask_input: (1, m, m) or (N, 1, m, m), logits.
        size: (H, W) of the picture.
        mask_side: m.

    Raises:
        EdgeSamError: no prompt, arrays that do not belong together, of other shapes or types, values that are not
            finite, another label, a point outside of the picture, a box without area or outside of it.
    """
    points, labels = _points(point_coords, point_labels)
    boxes = None if box is None else _shaped("box", box, (4,))
    masks = None if mask_input is None else _shaped("mask_input", mask_input, (1, mask_side, mask_side))
    boxes = _without_batch_of_one(boxes, points, masks)
    batched = _agree_on_objects(point_coords=(points, 2), box=(boxes, 1), mask_input=(masks, 3))
    if not batched:
        points, labels, boxes, masks = (None if x is None else x[None] for x in (points, labels, boxes, masks))
    if points is not None and labels is not None:
        if not points.shape[1]:
            points = labels = None
        else:
            _expect_inside(points, labels, size)
    if points is None and boxes is None and masks is None:
        raise EdgeSamError("no prompt: give points, a box or a mask")
    return Prompts(
        points,
        None if labels is None else labels.astype(np.int64),
        None if boxes is None else _cut(boxes, size),
        None if masks is None else masks.astype(np.float32),
        batched,
    )


def expect_number_of_masks(number: int) -> None:
    """Insist that a prompt is asked for 1, 3 or 4 masks.

    Raises:
        EdgeSamError: for another number, or for segment-anything's bool at this place, where True would pass for 1.
    """
    if isinstance(number, bool | np.bool_):
        raise EdgeSamError(
            f"num_multimask_outputs is 1, 3 or 4, not {number}: for segment-anything's multimask_output say "
            "3 for True, 1 for False"
        )
    if number not in (1, 3, 4):
        raise EdgeSamError(f"num_multimask_outputs is 1, 3 or 4, not {number}")


def expect_together(point_coords: object, point_labels: object) -> None:
    """Insist that points have labels and labels points: both are None, or neither is.

    Raises:
        EdgeSamError: one alone is.
    """
    if (point_coords is None) != (point_labels is None):
        raise EdgeSamError("point_coords and point_labels (1 foreground, 0 background) come together")


def _points(
    coordinates: ArrayLike | None, labels: ArrayLike | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    expect_together(coordinates, labels)
    if coordinates is None or labels is None:
        return None, None
    points, kinds = _numbers("point_coords", coordinates), _numbers("point_labels", labels)
    if kinds.ndim not in (1, 2):
        raise EdgeSamError(f"point_labels has shape {kinds.shape}, not (P,) or (N, P)")
    if points.shape != (*kinds.shape, 2) and not points.size == kinds.size == 0:
        raise EdgeSamError(f"point_coords has shape {points.shape}, not {(*kinds.shape, 2)}")
    if not np.isin(kinds, _LABELS).all():
        raise EdgeSamError(
            f"a point's label is 1 (foreground), 0 (background) or -1 (padding), not {kinds.ravel().tolist()}"
        )
    return points.reshape(*kinds.shape, 2), kinds


def _shaped(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = _numbers(name, values)
    if array.shape != shape and array.shape[1:] != shape:
        raise EdgeSamError(f"{name} has shape {array.shape}, not {shape} or {('N', *shape)}".replace("'", ""))
    return array


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise EdgeSamError(f"{name} is not an array: {' '.join(str(error).split())}") from error
    if array.dtype.kind not in "fiu":
        raise EdgeSamError(f"{name} is of type {array.dtype}, not of numbers")
    if not np.isfinite(array).all():
        raise EdgeSamError(f"{name} holds values that are not finite (NaN or infinity)")
    return array.astype(np.float64)


def _without_batch_of_one(
    boxes: NDArray[np.float64] | None, points: NDArray[np.float64] | None, masks: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Return boxes as they are; but (1, 4) beside prompts of one object as that object's, as segment-anything does."""
    of_one = [array.ndim == dimensions for array, dimensions in ((points, 2), (masks, 3)) if array is not None]
    return boxes[0] if boxes is not None and boxes.shape == (1, 4) and of_one and all(of_one) else boxes


def _agree_on_objects(**given: tuple[NDArray[np.float64] | None, int]) -> bool:
    """Return whether arrays, each with its dimensions for one object, are of N objects; insist on the same N."""
    counts = {
        name: len(array) if array.ndim > dimensions else None
        for name, (array, dimensions) in given.items()
        if array is not None
    }
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} of {'one object' if n is None else f'a batch of {n}'}" for name, n in counts.items())
        raise EdgeSamError(f"prompts do not belong together: {told}")
    return any(count is not None for count in counts.values())


def _expect_inside(points: NDArray[np.float64], labels: NDArray[np.float64], size: tuple[int, int]) -> None:
    height, width = size
    outside = ((points < 0) | (points > (width, height))).any(axis=-1) & (labels >= 0)
    if outside.any():
        x, y = points[outside][0]
        raise EdgeSamError(f"point ({x:g}, {y:g}) is outside of the picture of {width} x {height}")


def _cut(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    height, width = size
    cut: NDArray[np.float64] = np.clip(boxes, 0, (width, height, width, height))
    for corners, wrong in ((boxes, "has no area: a box is left, top, right, bottom"), (cut, "is outside")):
        broken = (corners[:, 2:] <= corners[:, :2]).any(axis=1)
        if broken.any():
            told = ", ".join(f"{value:g}" for value in boxes[broken][0])
            raise EdgeSamError(f"box ({told}) {wrong}; the picture is {width} x {height}")
    return cut
