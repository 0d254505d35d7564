"""How much the tour does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, Self

MOST_REPEATS = 4
"""So many times more epochs, at most, where there are fewer images: every epoch ends with a measurement."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the tour.

    Attributes:
        name: ``full`` or ``quick``.
        train_images: learnt from; the first so many by name of a given folder.
        val_images: measured on.
        instances: masks measured in each of them, the first of the file.
        curve_images: of ``val_images``, measured after every epoch for the curves.
        batch_size: images a step of phase 1; half as many in phase 2.
        phase_1_epochs: passes over the training images in phase 1.
        phase_2_epochs: and in phase 2.
        prompts: drawn from an image in a step of phase 2.
        examples: pictures with masks in the report.
        seconds: what each step takes on two idle cores, by the step's name: for the time left alone.
    """

    name: Literal["full", "quick"]
    train_images: int
    val_images: int
    instances: int
    curve_images: int
    batch_size: int
    phase_1_epochs: int
    phase_2_epochs: int
    prompts: int
    examples: int
    seconds: Mapping[str, float]

    def sizes(self) -> dict[str, int | str]:
        """Return all but the times, which decide nothing."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "seconds"}

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Images a step, by phase."""
        return {"phase 1": self.batch_size, "phase 2": self.batch_size // 2}

    def for_images(self, images: int) -> Self:
        """Return the plan for a training set of ``images``: of few ones each is seen more often."""
        repeats = min(math.ceil(self.train_images / images), MOST_REPEATS)
        return replace(self, phase_1_epochs=self.phase_1_epochs * repeats, phase_2_epochs=self.phase_2_epochs * repeats)


FULL = Plan(
    name="full", train_images=320, val_images=40, instances=16, curve_images=10, batch_size=8, phase_1_epochs=5,
    phase_2_epochs=1, prompts=8, examples=12,
    seconds={
        "synth train": 22, "synth val": 7, "embed": 22, "phase 1": 195, "convert phase 1": 6, "phase 2": 125,
        "convert phase 2": 6, "evaluate teacher": 30, "evaluate phase 1": 30, "evaluate phase 2": 30, "report": 12,
    },
)  # fmt: skip
"""At most ten minutes on two cores."""

QUICK = Plan(
    name="quick", train_images=16, val_images=8, instances=4, curve_images=4, batch_size=4, phase_1_epochs=2,
    phase_2_epochs=1, prompts=4, examples=6,
    seconds={
        "synth train": 5, "synth val": 3, "embed": 8, "phase 1": 18, "convert phase 1": 6, "phase 2": 18,
        "convert phase 2": 6, "evaluate teacher": 8, "evaluate phase 1": 8, "evaluate phase 2": 8, "report": 8,
    },
)  # fmt: skip
"""At most two minutes: shows that everything works, and nothing of what it is worth."""
