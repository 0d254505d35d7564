"""How far a long pass or a download is: a bar on a terminal, a plain line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress(what: str, total: int, unit: str = "images", shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Show how far a pass over ``total`` things is, with the rate and the time left.

    Args:
        what: name of the pass.
        total: number of things.
        unit: what they are, in the plural.
        shown: False in processes other than the first.

    Yields:
        A function to call with the number of things just done; may be a fraction, where one process speaks for others.
    """
    if not shown:
        yield lambda done: None
    elif sys.stdout.isatty():
        rate = TextColumn("{task.fields[rate]:.1f} " + unit + "/s")
        with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()) as bar:
            task = bar.add_task(what, total=total, rate=0.0)
            counter = _Counter(total)

            def advance(done: float) -> None:
                counter.add(done)
                bar.update(task, advance=done, rate=counter.rate)

            yield advance
    else:
        counter = _Counter(total)
        yield lambda done: counter.add_and_print(done, what, unit)


class _Counter:
    """Counts what is done and how fast."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0.0
        self.started = self.printed = time.monotonic()

    def add(self, done: float) -> None:
        self.done += done

    @property
    def rate(self) -> float:
        """Things a second since the start."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def add_and_print(self, done: float, what: str, unit: str) -> None:
        self.add(done)
        now = time.monotonic()
        if now - self.printed >= _SECONDS_BETWEEN_LINES or round(self.done) == self.total:
            self.printed = now
            left = timedelta(seconds=round((self.total - self.done) / max(self.rate, 1e-9)))
            print(f"{what}: {round(self.done)}/{self.total}, {self.rate:.1f} {unit}/s, {left} left", flush=True)


@contextmanager
def show_download(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far a download is.

    Args:
        what: is downloaded.

    Yields:
        A function for :func:`edge_sam.data.download.download` to call with the bytes that are there, and of the whole.
    """
    if sys.stdout.isatty():
        columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns) as bar:
            task = bar.add_task(what, total=None)
            yield lambda have, whole: bar.update(task, completed=have, total=whole)
    else:
        yield _DownloadLines(what)


class _DownloadLines:
    """Prints a line now and then and one at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._printed = time.monotonic()

    def __call__(self, have: int, whole: int | None) -> None:
        now = time.monotonic()
        if now - self._printed >= _SECONDS_BETWEEN_LINES or have == whole:
            self._printed = now
            of_whole = f" of {whole / 1e6:.0f}" if whole is not None else ""
            print(f"{self._what}: {have / 1e6:.0f}{of_whole} MB", flush=True)
