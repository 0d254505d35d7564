"""Recognising a mask that repeats one that was found, by a few of its pixels, before it is made."""

import torch
from torch import Tensor

_ALIKE = 0.9
"""IoU of the samples from which two masks are one: then their boxes are alike, too, and one would be dropped later."""

_FEWEST = 64
"""Sampled pixels of both masks below which that IoU is not to be trusted; such masks take little time anyway."""


class RepeatedMasks:
    """Knows the samples of the masks that were found in a picture, and what was thought of each."""

    def __init__(self) -> None:
        self._samples: Tensor | None = None
        self._scores: list[float] = []

    def add(self, samples: Tensor, score: float) -> None:
        """Remember a mask that was found.

        Args:
            samples: bool (S,), the same pixels of each mask.
            score: its predicted IoU.
        """
        count = len(self._scores)
        if self._samples is None or count == len(self._samples):
            larger = samples.new_zeros(max(64, 2 * count), len(samples), dtype=torch.float32)
            if self._samples is not None:
                larger[:count] = self._samples
            self._samples = larger
        self._samples[count] = samples
        self._scores.append(score)

    def repeat(self, samples: Tensor, scores: Tensor) -> Tensor:
        """Return for masks bool (m, S) with predicted IoU (m,) which are like a found one that is at least as good.

        Returns:
            bool (m,).
        """
        if self._samples is None:
            return torch.zeros_like(scores, dtype=torch.bool)
        found = self._samples[: len(self._scores)]
        own = samples.float()
        common = own @ found.T
        union = own.sum(dim=1, keepdim=True) + found.sum(dim=1) - common
        alike = (common >= _ALIKE * union) & (union >= _FEWEST)
        better = scores[:, None] <= scores.new_tensor(self._scores)
        return (alike & better).any(dim=1)
