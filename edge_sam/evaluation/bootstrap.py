"""How much a mean would change with other images: intervals by the bootstrap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
SHARE = 0.95
SEED = 0
_DRAWS_AT_ONCE = 50

INTERVAL_IN_WORDS = f"{SHARE:.0%} interval by image (bootstrap, {DRAWS} draws, seed {SEED})"


class Interval(NamedTuple):
    """Where the mean lies in 95 of 100 draws of images."""

    low: float
    high: float


def draw_images(number: int) -> NDArray[np.uint8]:
    """Return how often each of ``number`` images is in each draw of as many (DRAWS, number): always the same draws."""
    rng = np.random.default_rng(SEED)
    times = np.empty((DRAWS, number), dtype=np.uint8)  # an image is drawn once in the mean, and never 256 times
    for block in _blocks(times):
        block[:] = rng.multinomial(number, np.full(number, 1 / number), size=len(block))
    return times


def _blocks(times: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return parts that take little memory as wider numbers."""
    return np.split(times, DRAWS // _DRAWS_AT_ONCE)


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
    means = [(times @ sums) / (times @ counts) for times in _blocks(draw_images(len(counts)))]
    return interval_of_draws(np.concatenate(means))


def interval_of_draws(values: NDArray[np.float64]) -> Interval:
    """Return the percentile interval of what the draws gave (n,)."""
    low, high = np.quantile(values, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(low), float(high))


def interval_around(number: float, values: NDArray[np.float64]) -> Interval:
    """Return the percentile interval of what the draws gave (n,), moved so that their mean is ``number``, in [0, 1].

    For what is no mean: draws have fewer different images than the data set, and where this alone makes a number
    higher or lower, the draws lie beside it. What they tell is how widely it varies.
    """
    low, high = (float(np.clip(end + number - values.mean(), 0, 1)) for end in interval_of_draws(values))
    return Interval(low, high)
