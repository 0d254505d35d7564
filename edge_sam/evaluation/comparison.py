"""Several models on the same instances and prompts: differences with paired intervals, histograms, telling cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.bootstrap import Interval, interval_by_image
from edge_sam.evaluation.miou import MiouResult

BINS = 20
"""Of the histograms of IoU, from 0 to 1."""

CaseKind = Literal["worst", "most different"]


@dataclass(frozen=True)
class Estimate:
    """A mean over instances, and where it lies in 95 of 100 draws of images."""

    value: float
    interval: Interval

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero, else 0; one without width is of a single image."""
        if self.interval.low == self.interval.high:
            return 0
        return (self.interval.low > 0) - (self.interval.high < 0)


@dataclass(frozen=True)
class Case:
    """An instance worth looking at.

    Attributes:
        kind: why.
        image_id: of its image.
        number: of the instance among its image's.
        name: what its annotation is called.
        iou: by model, after the first prompt.
    """

    kind: CaseKind
    image_id: str
    number: int
    name: int | str
    iou: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """What several models gave by one protocol on one data set.

    Args:
        dataset: its name.
        chosen: in words, which of its images and instances were taken.
        models: their names; the others are compared with the first.
        checkpoints: SHA-256 of each one's file.
        networks: what each file was measured as, in words: which network, in which number format.
        results: of each.

    Raises:
        EdgeSamError: they are not of the same data or not of the same instances.
    """

    dataset: str
    chosen: str
    models: tuple[str, ...]
    checkpoints: tuple[str, ...]
    networks: tuple[str, ...]
    results: tuple[MiouResult, ...]

    def __post_init__(self) -> None:
        first = self.results[0]
        for name, result in zip(self.models, self.results, strict=True):
            if result.protocol != first.protocol:
                raise ValueError(f"{name} was measured by another protocol than {self.models[0]}")
            if result.data_sha256 != first.data_sha256:
                raise EdgeSamError(
                    f"{self.dataset}: {self.models[0]} and {name} were measured on different data "
                    f"({first.data_sha256[:12]} and {result.data_sha256[:12]}): did it change in between?"
                )
            if result.image_ids != first.image_ids or not np.array_equal(result.numbers, first.numbers):
                raise EdgeSamError(
                    f"{self.dataset}: {self.models[0]} and {name} were measured on different instances "
                    f"({first.instances} and {result.instances}); under --ground-truth edgesam these depend on the "
                    "image size: compare models of one size, or by exact"
                )

    @property
    def rounds(self) -> tuple[str, ...]:
        """Names of the rounds."""
        return self.results[0].protocol.rounds

    @cached_property
    def estimates(self) -> tuple[tuple[Estimate, ...], ...]:
        """The mean IoU, by model, then by round."""
        return tuple(_estimates(result.iou, result.image_ids) for result in self.results)

    @cached_property
    def differences(self) -> tuple[tuple[Estimate, ...], ...]:
        """By how much the mean IoU is above the first model's, by model, then by round; none for the first.

        The interval is of the differences on the same instances, so it is narrow where two models fail alike.
        """
        first = self.results[0]
        return ((), *(_estimates(result.iou - first.iou, first.image_ids) for result in self.results[1:]))

    def histogram(self, model: int, round_number: int) -> NDArray[np.int64]:
        """Return how many instances lie in each of :data:`BINS` bins of IoU."""
        counts, _ = np.histogram(self.results[model].iou[:, round_number], bins=BINS, range=(0, 1))
        return counts

    def cases(self, count: int) -> list[Case]:
        """Choose instances: those with the lowest mean IoU over the models, and those on which they differ most.

        The first prompt decides: it is the same for all models. At most one of each kind is taken of an image; equals
        come in the order of the data set.

        Args:
            count: of each kind; the second one needs two models.
        """
        iou = np.stack([result.iou[:, 0] for result in self.results])
        chosen = self._first_of_images("worst", iou, iou.mean(axis=0), count)
        if len(self.results) > 1:
            chosen += self._first_of_images("most different", iou, iou.min(axis=0) - iou.max(axis=0), count)
        return chosen

    def _first_of_images(
        self, kind: CaseKind, iou: NDArray[np.float64], order: NDArray[np.float64], count: int
    ) -> list[Case]:
        result = self.results[0]
        found: dict[str, Case] = {}
        for place in np.argsort(order, kind="stable").tolist():
            image_id = result.image_ids[place]
            if len(found) == count or (kind == "most different" and order[place] == 0):
                break
            if image_id not in found:
                number, name = int(result.numbers[place]), result.names[place]
                found[image_id] = Case(kind, image_id, number, name, tuple(iou[:, place].tolist()))
        return list(found.values())


def _estimates(values: NDArray[np.float64], image_ids: Sequence[str]) -> tuple[Estimate, ...]:
    return tuple(Estimate(math.fsum(column) / len(column), interval_by_image(column, image_ids)) for column in values.T)
