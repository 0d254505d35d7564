"""Masks that were found in a picture, and which of them are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from edge_sam.inference.window import Window

_EDGE = 20
"""Pixels within which a box counts as cut off by the edge of its crop."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FoundMask:
    """A mask of a picture.

    Attributes:
        runs: run lengths in column order of the whole picture, a run of 0 first.
        box: first and last column and row, (left, top, right, bottom): all four are pixels of the mask.
        predicted_iou: what the model thinks of it.
        stability_score: its IoU at a higher and at a lower threshold.
        point: (x, y) that it was asked with, in pixels of the picture.
        crop: the part of the picture that was looked at.
    """

    runs: NDArray[np.int64]
    box: Box
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop: Window

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.runs[1::2].sum())


def without_duplicates(
    masks: Sequence[FoundMask], preference: Sequence[float], iou_threshold: float
) -> list[FoundMask]:
    """Drop each mask whose box is like that of a preferred one (greedy non-maximum suppression).

    Boxes of lines of pixels, which have no area in this way of counting, are compared by their pixels, and with each
    other alone.

    Args:
        masks: what was found.
        preference: of several alike, the one with the highest stays; of those with the same, the first.
        iou_threshold: IoU of boxes above which they are alike.

    Returns:
        Those that stay, the most preferred first.
    """
    boxes = torch.tensor([mask.box for mask in masks], dtype=torch.float32).reshape(-1, 4)
    lines = (boxes[:, :2] == boxes[:, 2:]).any(dim=1)
    boxes[lines, 2:] += 1
    boxes[lines] = -boxes[lines].roll(2, dims=1)  # mirrored to where no other box is
    kept = nms(boxes, torch.tensor(preference, dtype=torch.float32), iou_threshold)
    return [masks[index] for index in kept.tolist()]


def bounding_box(mask: NDArray[np.bool_], left: int, top: int) -> Box:
    """Return the box of a mask (h, w) with a pixel, whose first one is at (left, top) of the picture."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]), top + int(rows[-1])


def is_cut_off(box: Box, crop: Window, size: tuple[int, int]) -> bool:
    """Whether a box comes near an edge of its crop that is not near an edge of the picture of ``size`` (H, W)."""
    edges = zip(box, (crop.left, crop.top, crop.right, crop.bottom), (0, 0, size[1], size[0]), strict=True)
    return any(abs(side - of_crop) <= _EDGE < abs(side - of_picture) for side, of_crop, of_picture in edges)
