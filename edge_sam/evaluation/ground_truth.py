"""The masks that predictions are compared with, and the first points that come from them."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edge_sam.evaluation.protocols import GroundTruth, PointFrom
from edge_sam.prompts.first_points import mask_center_points, mask_random_points

MaskArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Truth:
    """The ground truth of one image's n instances under one protocol.

    Attributes:
        bits: uint8 (n, H, ceil(W / 8)): masks at original size, eight pixels a byte.
        present: bool (n,), False where the mask is empty: such an instance cannot be measured.
        points: first points float32 (n, 2), (x, y) in input pixels, of those kinds that need the mask; zero where the
            mask is empty.
    """

    bits: NDArray[np.uint8]
    present: NDArray[np.bool_]
    points: dict[PointFrom, NDArray[np.float32]]


def enlarge(mask: MaskArray, size: tuple[int, int]) -> MaskArray:
    """Resample a mask (H, W) to the resized image's ``size`` (h, w), nearest pixel."""
    return F.interpolate(torch.from_numpy(mask)[None, None], size, mode="nearest")[0, 0].numpy()


def resample_as_published(enlarged: MaskArray, original_size: tuple[int, int]) -> MaskArray:
    """Bring an :func:`enlarge`-d mask back to ``original_size`` (H, W) as the published evaluation does.

    Bilinear, and everything above 0 counts: the mask grows by about half a pixel, and small ones by a lot.
    """
    back = F.interpolate(torch.from_numpy(enlarged)[None, None].float(), original_size, mode="bilinear")
    return (back[0, 0] > 0).to(torch.uint8).numpy()


def noise_of(seed: int, image_id: str, instance: int, round_number: int) -> float:
    """Draw the number in [0, 1) that belongs to an instance and a round, whoever asks and in whatever order.

    Round 0 is the first point, round r the r-th click.
    """
    key = [seed, zlib.crc32(image_id.encode()), instance, round_number]
    return float(np.random.default_rng(key).random(dtype=np.float32))


def make_truth(
    masks: Sequence[MaskArray],
    size: tuple[int, int],
    ground_truth: GroundTruth,
    kinds: Collection[PointFrom],
    noise: Sequence[float],
) -> Truth:
    """Prepare the instances of one image.

    Args:
        masks: annotated masks, each (H, W) of 0 and 1.
        size: (h, w) of the resized image.
        ground_truth: under "edgesam" the points, too, come from the resampled masks.
        kinds: the first points that are wanted; those that need no mask are left out.
        noise: one value in [0, 1) an instance, for "mask-rand".
    """
    pointed = list(masks)
    if ground_truth == "edgesam":
        pointed = [enlarge(mask, size) for mask in masks]
        masks = [resample_as_published(small, mask.shape) for small, mask in zip(pointed, masks, strict=True)]
    # A tiny mask can vanish where the input is smaller than the file.
    present = np.array([mask.any() and near.any() for mask, near in zip(masks, pointed, strict=True)], dtype=bool)
    some = [mask for mask, there in zip(pointed, present, strict=True) if there]
    points: dict[PointFrom, NDArray[np.float32]] = {}
    for kind in kinds:
        if kind == "mask-center":
            found = mask_center_points(some)
        elif kind == "mask-rand":
            found = mask_random_points(some, np.asarray(noise, dtype=np.float64)[present])
        else:
            continue
        points[kind] = np.zeros((len(pointed), 2), dtype=np.float32)
        if some:
            height, width = some[0].shape
            points[kind][present] = found * (size[1] / width, size[0] / height)
    return Truth(np.packbits(np.stack(masks), axis=-1), present, points)


def unpack(bits: Tensor, width: int) -> Tensor:
    """Return the masks bool (n, H, ``width``) of ``bits`` uint8 (n, H, ceil(width / 8)), on its device."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    return ((bits[..., None] >> shifts) & 1).bool().flatten(2)[..., :width]
