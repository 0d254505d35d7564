"""The learning rate as a pure function of the step: nothing of it is checkpointed."""

import math
from dataclasses import dataclass
from typing import Literal

REFERENCE_BATCH = 512
"""Images per optimizer step that the rates of a configuration are meant for."""


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, then a cosine.

    Attributes:
        base: highest rate of the cosine.
        warmup: rate at step 0 of the warm-up.
        minimum: rate that the cosine ends in.
        steps: optimizer steps of the whole run.
        warmup_steps: optimizer steps of the warm-up; 0 for none.
        curve: ``published``: the cosine is that of the whole run and does not know of the warm-up, so that the rate
            jumps down where the warm-up ends; and each step takes the rate of the step before it, the first its own.
            ``continuous``: the cosine starts where the warm-up ends.
    """

    base: float
    warmup: float
    minimum: float
    steps: int
    warmup_steps: int
    curve: Literal["published", "continuous"] = "published"

    def at(self, step: int) -> float:
        """Return the rate of optimizer step ``step``, counted from 0."""
        if self.curve == "published":
            step = max(step - 1, 0)
        if step < self.warmup_steps:
            return self.warmup + step * (self.base - self.warmup) / self.warmup_steps
        start = self.warmup_steps if self.curve == "continuous" else 0
        progress = min((step - start) / max(self.steps - start, 1), 1.0)
        return self.minimum + 0.5 * (self.base - self.minimum) * (1 + math.cos(math.pi * progress))


def batch_scale(images_per_step: int) -> float:
    """Return what rates are multiplied by: images per optimizer step (all processes, accumulation included) / 512."""
    return images_per_step / REFERENCE_BATCH
