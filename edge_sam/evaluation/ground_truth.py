"""The masks that predictions are compared with, and the first points that come from them."""

import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.protocols import GroundTruth, PointFrom
from edge_sam.prompts.first_points import mask_center_points, mask_random_points

Size = tuple[int, int]


@dataclass(frozen=True)
class Truth:
    """The ground truth of one image's n instances under one protocol.

    Attributes:
        masks: n masks at original size.
        present: bool (n,), False where the mask is empty: such an instance cannot be measured.
        points: first points float32 (n, 2), (x, y) in input pixels, of those kinds that need the mask; zero where the
            mask is empty.
    """

    masks: list[CroppedMask]
    present: NDArray[np.bool_]
    points: dict[PointFrom, NDArray[np.float32]]


def noise_of(seed: int, image_id: str, instance: int, round_number: int) -> float:
    """Draw the number in [0, 1) that belongs to an instance and a round, whoever asks and in whatever order.

    Round 0 is the first point, round r the r-th click.
    """
    key = [seed, zlib.crc32(image_id.encode()), instance, round_number]
    return float(np.random.default_rng(key).random(dtype=np.float32))


def make_truth(
    masks: Sequence[CroppedMask],
    original_size: Size,
    size: Size,
    ground_truth: GroundTruth,
    kinds: Collection[PointFrom],
    noise: Sequence[float],
) -> Truth:
    """Prepare the instances of one image.

    Args:
        masks: as annotated.
        original_size: (H, W) of the file and of the masks.
        size: (h, w) of the resized image.
        ground_truth: under "edgesam" the points, too, come from the resampled masks.
        kinds: the first points that are wanted; those that need no mask are left out.
        noise: one value in [0, 1) an instance, for "mask-rand".
    """
    pointed, scale = masks, (size[1] / original_size[1], size[0] / original_size[0])
    if ground_truth == "edgesam":
        to_input, back = zip(*map(_resamplings, original_size, size), strict=True)
        pointed, scale = [_resample(mask, *to_input) for mask in masks], (1.0, 1.0)
        masks = [_resample(mask, *back) for mask in masks]
    # A tiny mask can vanish where the input is smaller than the file.
    present = np.array([mask.area > 0 and near.area > 0 for mask, near in zip(masks, pointed, strict=True)], dtype=bool)
    points: dict[PointFrom, NDArray[np.float32]] = {}
    for kind in _POINTS.keys() & set(kinds):
        points[kind] = np.zeros((len(pointed), 2), dtype=np.float32)
        for number in np.flatnonzero(present).tolist():
            mask = pointed[number]
            corner = np.array([mask.window.left, mask.window.top])
            points[kind][number] = (corner + _POINTS[kind](mask.crop().view(np.uint8), noise[number])) * scale
    return Truth(list(masks), present, points)


_POINTS: dict[PointFrom, Callable[[NDArray[np.uint8], float], NDArray[np.float64]]] = {
    "mask-center": lambda crop, _: mask_center_points([crop])[0],
    "mask-rand": lambda crop, noise: mask_random_points([crop], [noise])[0],
}
"""The first points that come from the mask: of a crop, given a value in [0, 1)."""


@dataclass(frozen=True)
class _Resampling:
    """Which pixels of the file a resampled pixel sees, along one axis; it is set where one of them is.

    Attributes:
        first: int64 (side,), ascending.
        last: int64 (side,), ascending: the same as ``first`` or a later one; the pixel sees these two.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def apply(self, crop: NDArray[np.bool_], start: int, axis: int) -> tuple[NDArray[np.bool_], int]:
        """Resample a crop along its ``axis``, on which it starts at pixel ``start``; return it and where it starts."""
        length = crop.shape[axis]
        begin, end = int(np.searchsorted(self.last, start)), int(np.searchsorted(self.first, start + length))
        framed = np.pad(crop, [(1, 1) if number == axis else (0, 0) for number in (0, 1)])
        first, last = ((seen[begin:end] - start).clip(-1, length) + 1 for seen in (self.first, self.last))
        return framed.take(first, axis) | framed.take(last, axis), begin


@lru_cache(maxsize=256)
def _resamplings(original: int, resized: int) -> tuple[_Resampling, _Resampling]:
    """Return how the published evaluation brings masks to the input and back, along an axis.

    To the input by the nearest pixel; back bilinearly, and everything above 0 counts: the mask grows by about half a
    pixel, and small ones by a lot. So a pixel is set where one of its two pixels of the input is.
    """
    pixels = torch.arange(original, dtype=torch.float32)[None, None]
    nearest = F.interpolate(pixels, resized, mode="nearest")[0, 0].long().numpy()
    # The bilinear step shows its taps where it meets unit vectors.
    taps = F.interpolate(torch.eye(resized)[None], original, mode="linear", align_corners=False)[0].T.numpy() > 0
    first, last = taps.argmax(axis=1), resized - 1 - taps[:, ::-1].argmax(axis=1)
    return _Resampling(nearest, nearest), _Resampling(nearest[first], nearest[last])


def _resample(mask: CroppedMask, rows: _Resampling, columns: _Resampling) -> CroppedMask:
    crop, top = rows.apply(mask.crop(), mask.window.top, axis=0)
    crop, left = columns.apply(crop, mask.window.left, axis=1)
    return CroppedMask.from_crop(crop, top, left)
