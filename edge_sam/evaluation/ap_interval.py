"""How much an average precision would change with other images: the counting repeated with images drawn again.

AP is no mean over images: its masks are ranked across all of them. So what is drawn again are images, and the ranked
masks of each draw are counted anew. Which mask is right is a matter of its own image, and found out once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_sam.evaluation.ap_matches import CategoryMatches
from edge_sam.evaluation.buckets import IOU_THRESHOLDS

RECALLS = np.linspace(0, 1, 101)
"""COCO's: precision is taken at these."""

_NUMBERS_AT_ONCE = 2_000_000
"""Of draws x masks."""


def weighted_precision(matches: CategoryMatches, times: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the average precision of a category where each image counts several times, or not at all.

    Of masks with equal scores, those of one image follow one another as often as it counts.

    Args:
        matches: of the category, in I images.
        times: (draws, I) how often each image counts; all 1 for COCO's own number.

    Returns:
        float64 (draws, A, T): the mean over :data:`RECALLS` of the best precision at this recall or a higher one, for
        each size of objects and IoU threshold; NaN where no such object is drawn.

    Source: COCO's evaluation, accumulate; precision changes only for the better at right masks, so only there it is
    looked at.
    """
    there = np.flatnonzero(matches.objects.any(axis=0))
    objects = times[:, there].astype(np.int64) @ matches.objects[:, there].T
    result = np.full((len(times), *matches.right.shape[:2]), np.nan)
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, len(matches.image)))
    for start in range(0, len(times), at_once):
        rows = slice(start, start + at_once)
        for area in range(len(matches.right)):
            drawn = np.flatnonzero(objects[rows, area]) + start
            if len(drawn):
                result[drawn, area] = _precision_of_size(matches, area, times[drawn], objects[drawn, area])
    return result


def _precision_of_size(
    matches: CategoryMatches, area: int, times: NDArray[np.uint8], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (draws, T)."""
    kept = np.flatnonzero(~matches.ignored[area].all(axis=0))
    image, right, ignored = matches.image[kept], matches.right[area][:, kept], matches.ignored[area][:, kept]
    masks = np.cumsum(times[:, image], axis=1, dtype=np.int32)
    result = np.zeros((len(times), len(right)))
    for threshold in range(len(right)):
        places, neutral = np.flatnonzero(right[threshold]), np.flatnonzero(ignored[threshold])
        if not len(places):
            continue
        counted = masks[:, places]
        if len(neutral):
            passed = np.cumsum(times[:, image[neutral]], axis=1, dtype=np.int32)
            before = np.searchsorted(neutral, places)
            counted = counted - np.where(before > 0, passed[:, before - 1], 0)
        hits = np.cumsum(times[:, image[places]], axis=1, dtype=np.int32)
        result[:, threshold] = _mean_over_recalls(hits, counted, objects)
    return result


def _mean_over_recalls(
    hits: NDArray[np.int32], counted: NDArray[np.int32], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (draws,), given for each of n right masks (draws, n) how many right ones and all there are up to it."""
    precision = np.divide(hits, counted, out=np.zeros(hits.shape), where=counted > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / objects[:, None]
    # How many of the recalls are reached, compared as COCO does: 0.29 is below its 29th of them.
    reached = np.floor(recall * 100 + 1e-9).astype(np.int64)
    reached += RECALLS[reached] <= recall
    mean: NDArray[np.float64] = np.sum(best * np.diff(reached, axis=1, prepend=0), axis=1) / len(RECALLS)
    return mean


class MeansOverCategories:
    """AP and its relatives: means over those categories that have such objects, added one after another.

    Args:
        names: of the numbers wanted: AP, AP50, AP75, APs, APm, APl; and APr, APc, APf.
        draws: how many rows of numbers.
    """

    def __init__(self, names: Sequence[str], draws: int) -> None:
        self._sums = {name: np.zeros(draws) for name in names}
        self._counts = {name: np.zeros(draws) for name in names}

    def add(self, precision: NDArray[np.float64], frequency: str | None) -> None:
        """Add a category: (draws, A, T), NaN where there is no object; and how often LVIS's training images have it."""
        every = precision[:, 0]
        values = {
            "AP": every.mean(axis=1),
            "AP50": every[:, IOU_THRESHOLDS.index(0.5)],
            "AP75": every[:, IOU_THRESHOLDS.index(0.75)],
            "APs": precision[:, 1].mean(axis=1),
            "APm": precision[:, 2].mean(axis=1),
            "APl": precision[:, 3].mean(axis=1),
            f"AP{frequency}": every.mean(axis=1),
        }
        for name in self._sums.keys() & values.keys():
            self._sums[name] += np.nan_to_num(values[name])
            self._counts[name] += ~np.isnan(values[name])

    def numbers(self) -> dict[str, NDArray[np.float64]]:
        """Return each number's rows (draws,), NaN where no category has such objects."""
        return {
            name: np.divide(sums, self._counts[name], out=np.full(len(sums), np.nan), where=self._counts[name] > 0)
            for name, sums in self._sums.items()
        }
