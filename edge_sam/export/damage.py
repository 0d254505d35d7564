"""Which layers stay as they are, given what rounding each of them alone costs."""

from collections.abc import Mapping

import numpy as np


def most_damaged(damage: Mapping[str, float], share: float) -> list[str]:
    """Return as few layers as are needed for those left to make at most ``share`` of all the damage.

    Errors of different layers are taken to be independent, so that their squares add up.
    """
    by_damage = sorted(damage, key=lambda name: -damage[name])
    bar = share * sum(damage.values())
    rest = np.cumsum([damage[name] for name in reversed(by_damage)])  # of the least damaged 1, 2, ...
    return by_damage[: len(by_damage) - int(np.searchsorted(rest, bar, side="right"))]
