"""How much a mean would change with other images: intervals by the bootstrap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
SHARE = 0.95
_SEED = 0
_DRAWS_AT_ONCE = 50


class Interval(NamedTuple):
    """Where the mean lies in 95 of 100 draws of images."""

    low: float
    high: float


def interval_by_image(values: NDArray[np.float64], image_ids: Sequence[str]) -> Interval:
    """Return the percentile interval of the mean over instances when whole images are drawn again, with replacement.

    The instances of an image are not independent of each other, so images are drawn, and the mean is the ratio of two
    sums over them. Of one number of images the draws are always the same. For the difference of two models give the
    differences of their values on the same instances.

    Args:
        values: (n,) one number an instance.
        image_ids: (n,) which image it is of.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    _, image = np.unique(image_ids, return_inverse=True)
    counts = np.bincount(image).astype(np.float64)
    sums = np.bincount(image, weights=values)
    rng = np.random.default_rng(_SEED)
    means = []
    for _ in range(0, DRAWS, _DRAWS_AT_ONCE):
        times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=_DRAWS_AT_ONCE)
        means.append((times @ sums) / (times @ counts))
    low, high = np.quantile(np.concatenate(means), [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(low), float(high))
