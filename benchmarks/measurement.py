"""How a measurement is taken and written down."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A number and what it is compared with in the same run.

    Attributes:
        what: what was measured.
        value: the median, in ``unit``.
        unit: e.g. ``ms/image``.
        baseline: what it is compared with; empty where there is nothing fair to compare with.
        baseline_value: of the baseline, in ``unit``.
        note: e.g. peak memory.
    """

    what: str
    value: float
    unit: str
    baseline: str = ""
    baseline_value: float | None = None
    note: str = ""

    def row(self) -> str:
        """Return a row of a Markdown table."""
        if self.baseline_value is None:
            against = ("", "")
        else:
            against = (f"{self.baseline}: {self.baseline_value:.3g}", f"{self.value / self.baseline_value:.2f}")
        return f"| {self.what} | {self.value:.3g} {self.unit} | {against[0]} | {against[1]} | {self.note} |"


HEADER = "| what | median | baseline in the same run | ratio | note |\n| --- | --- | --- | --- | --- |"


def median_seconds(function: Callable[[], object], repeats: int, warm_up: int = 1) -> float:
    """Return the median wall time of ``function``, after ``warm_up`` calls that do not count."""
    for _ in range(warm_up):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
