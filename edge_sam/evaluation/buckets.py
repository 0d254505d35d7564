"""Results apart by the size of objects, and by how much IoU is asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""COCO's: 0.5, 0.55, ..., 0.95."""

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
"""COCO's sizes: from the first area, in pixels of the file, to below the second."""


@dataclass(frozen=True)
class SizeBucket:
    """The instances of one size.

    Attributes:
        instances: how many.
        miou: their mean IoU by round; none where there is no instance.
    """

    instances: int
    miou: tuple[float, ...]


def by_size(iou: NDArray[np.float64], areas: NDArray[np.int64]) -> dict[str, SizeBucket]:
    """Sort instances into small, medium and large ones.

    Args:
        iou: (n, rounds).
        areas: (n,) pixels of the annotated masks.
    """
    buckets = {}
    for name, (low, high) in SIZES.items():
        chosen = iou[(areas >= low) & (areas < high)]
        buckets[name] = SizeBucket(len(chosen), tuple(chosen.mean(axis=0).tolist()) if len(chosen) else ())
    return buckets


def by_threshold(iou: NDArray[np.float64]) -> dict[float, tuple[float, ...]]:
    """Return the share of instances (n, rounds) with an IoU of at least each of :data:`IOU_THRESHOLDS`, by round."""
    return {threshold: tuple((iou >= threshold).mean(axis=0).tolist()) for threshold in IOU_THRESHOLDS}
