"""SIGTERM as a wish: the run saves and leaves at the end of its step."""

import atexit
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist


class StopSignal:
    """Whether somebody asked for the end."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Take note (a signal handler)."""
        self._asked = True

    def agreed(self, device: torch.device) -> bool:
        """Whether any process was asked: the same answer in all of them, which call it together."""
        if not dist.is_initialized():
            return self._asked
        asked = torch.tensor(int(self._asked), device=device)
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked.item())


@contextmanager
def on_sigterm() -> Iterator[StopSignal]:
    """Let SIGTERM ask for the end while the body runs."""
    stop = StopSignal()
    before = signal.signal(signal.SIGTERM, stop.ask)
    atexit.register(_end_workers)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def ignore_sigterm(_worker: int) -> None:
    """Let a ``DataLoader`` worker live until its trainer has saved (a worker_init_fn).

    Schedulers signal all processes of a job at once. A worker ends when its trainer says so, or is gone.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_workers() -> None:
    """Kill the workers that an error left behind: Python's own end sends SIGTERM, and would wait for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a DataLoader's handler would take their end for a failure
    for process in multiprocessing.active_children():
        process.kill()
