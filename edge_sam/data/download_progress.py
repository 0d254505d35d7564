"""How far a download is: a bar on a terminal, a plain line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_SECONDS_BETWEEN_LINES = 10.0


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
        yield _Lines(what)


class _Lines:
    """Prints a line every ten seconds and one at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._printed = time.monotonic()

    def __call__(self, have: int, whole: int | None) -> None:
        now = time.monotonic()
        if now - self._printed >= _SECONDS_BETWEEN_LINES or have == whole:
            self._printed = now
            of_whole = f" of {whole / 1e6:.0f}" if whole is not None else ""
            print(f"{self._what}: {have / 1e6:.0f}{of_whole} MB", flush=True)
