"""Random numbers that are the same on every machine and for every version of NumPy.

Only the raw 64-bit output of PCG64 is used, whose stream NumPy guarantees, and only operations that IEEE 754 rounds
exactly; results of libm are rounded to 2^-16, far above the last bit in which machines differ.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
_BUFFERED = 512


def rounded(value: float) -> float:
    """Round a result of libm to 2^-16."""
    return math.floor(value * 65536.0 + 0.5) / 65536.0


class Randomness:
    """A stream of random numbers that belongs to a key.

    Args:
        key: non-negative integers, e.g. the seed and the number of the picture.
    """

    def __init__(self, *key: int) -> None:
        self._generator = np.random.PCG64(np.random.SeedSequence(key))
        self._buffer: list[int] = []

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        if not self._buffer:
            self._buffer = self._raw(_BUFFERED).tolist()
        return (self._buffer.pop() >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit()

    def log_between(self, low: float, high: float) -> float:
        """Return a number in [low, high) whose logarithm is uniform."""
        return low * rounded(math.exp(rounded(math.log(high / low)) * self.unit()))

    def signed(self, limit: float = 1.0) -> float:
        """Return a number in [-limit, limit)."""
        return limit * (2.0 * self.unit() - 1.0)

    def below(self, count: int) -> int:
        """Return an integer in [0, count)."""
        return int(self.unit() * count)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def weighted(self, weights: dict[Item, float]) -> Item:
        """Return one of the keys, with a probability proportional to its value."""
        left = self.unit() * sum(weights.values())
        for item, weight in weights.items():
            left -= weight
            if left < 0:
                return item
        return next(iter(weights))

    def angle(self) -> float:
        """Return an angle in radians, a multiple of 2 pi / 65536."""
        return self.below(65536) * (math.pi / 32768.0)

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Return uniform bytes."""
        count = math.prod(shape)
        raw = self._raw(-(-count // 8)).astype("<u8")
        return raw.view(np.uint8)[:count].reshape(shape)

    def _raw(self, count: int) -> NDArray[np.uint64]:
        raw: NDArray[np.uint64] = self._generator.random_raw(count)
        return raw
