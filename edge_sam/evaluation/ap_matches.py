"""Which scored masks of a category are right, kept so that the counting can be repeated with other images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sam.evaluation.buckets import SIZES

AREAS = np.array([(0, 1e10), *((low, min(high, 1e10)) for low, high in SIZES.values())])
"""COCO's sizes of objects, all and small, medium, large: (4, 2) areas from the first to the second, both included."""

_BARS = np.linspace(0.5, 0.95, 10)
"""COCO's IoU thresholds, to the last bit: an IoU may be exactly 0.6."""


@dataclass(frozen=True)
class ImageOfCategory:
    """The D masks and G annotations of one category in one image.

    Attributes:
        image: position of the image.
        scores: (D,), descending.
        mask_areas: (D,) pixels of the masks.
        iou: (D, G), with crowds the share of the mask that lies in the crowd; None where D or G is 0.
        areas: (G,) of the annotated objects.
        crowd: bool (G,).
        exhaustive: False: a mask that matches nothing may be right (LVIS), and does not count.
    """

    image: int
    scores: NDArray[np.float64]
    mask_areas: NDArray[np.int64]
    iou: NDArray[np.float64] | None
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    exhaustive: bool = True


@dataclass(frozen=True)
class CategoryMatches:
    """The D masks of one category in I images, best scored first, for A = 4 sizes of objects and T = 10 IoU thresholds.

    Attributes:
        image: int64 (D,) position of each mask's image.
        right: bool (A, T, D): it matches an object of the size.
        ignored: bool (A, T, D): it counts neither for nor against: matched to a crowd or to an object of another size,
            or matched to nothing and itself of another size.
        objects: int64 (A, I) objects of the size in each image.
    """

    image: NDArray[np.int64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]


def match_category(images: Sequence[ImageOfCategory], image_count: int) -> CategoryMatches:
    """Match the masks of a category in each of its images, which stand in the order of their positions."""
    objects = np.zeros((len(AREAS), image_count), dtype=np.int64)
    none = np.zeros((len(AREAS), len(_BARS), 0), dtype=bool)
    right, ignored = [none], [none]
    for one in images:
        wanted = ~one.crowd & _within(one.areas)
        objects[:, one.image] = wanted.sum(axis=1)
        hit, passed = _match(one.iou, wanted, one.crowd, len(one.scores))
        unmatched = ~(hit | passed)
        neutral = ~_within(one.mask_areas)[:, None] if one.exhaustive else True
        right.append(hit)
        ignored.append(passed | unmatched & neutral)
    scores = np.concatenate([np.zeros(0), *(one.scores for one in images)])
    order = np.argsort(-scores, kind="stable")
    positions, counts = (
        np.array(column, dtype=np.int64)
        for column in ([one.image for one in images], [len(one.scores) for one in images])
    )
    image = np.repeat(positions, counts)
    return CategoryMatches(
        image[order], np.concatenate(right, axis=2)[..., order], np.concatenate(ignored, axis=2)[..., order], objects
    )


def _within(areas: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (A, n): which areas (n,) are of the sizes."""
    within: NDArray[np.bool_] = (areas >= AREAS[:, :1]) & (areas <= AREAS[:, 1:])
    return within


def _match(
    iou: NDArray[np.float64] | None, wanted: NDArray[np.bool_], crowd: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Match D masks to G annotations as COCO does: best scored first, each to the free one that it resembles most.

    What is not wanted (A, G) is only matched where nothing wanted is left; a crowd takes any number of masks.

    Returns:
        bool (A, T, D): matched to a wanted one, matched to another one.
    """
    hit, passed = (np.zeros((len(AREAS), len(_BARS), count), dtype=bool) for _ in range(2))
    if iou is None:
        return hit, passed
    free = np.ones((len(AREAS), len(_BARS), len(crowd)), dtype=bool)
    for number in np.flatnonzero(iou.max(axis=1) >= _BARS[0]).tolist():
        possible = (free | crowd) & (iou[number] >= _BARS[:, None])
        place, hit[..., number] = _most(iou[number], possible & wanted[:, None])
        other = possible & ~wanted[:, None] & ~hit[..., number, None]
        other_place, passed[..., number] = _most(iou[number], other)
        for taken, where in ((place, hit[..., number]), (other_place, passed[..., number])):
            area, threshold = np.nonzero(where)
            free[area, threshold, taken[area, threshold]] = False
    return hit, passed


def _most(values: NDArray[np.float64], possible: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where the largest possible value is, of equal ones the last, as COCO takes it; and if there is one."""
    backwards = np.where(possible, values, -1.0)[..., ::-1]
    place: NDArray[np.int64] = len(values) - 1 - backwards.argmax(axis=-1)
    there: NDArray[np.bool_] = backwards.max(axis=-1) >= 0
    return place, there
