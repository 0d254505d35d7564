"""SIGTERM, and the first Ctrl-C, as a wish: the run saves and leaves at the end of its step. A second Ctrl-C aborts it.

A terminal sends Ctrl-C to every process of a command. ``torchrun`` gives its processes sessions of their own and hands
signals on, once each; it kills what is still there after 30 seconds, or after the seconds that the environment variable
``TORCH_ELASTIC_SHUTDOWN_TIMEOUT`` says (from PyTorch 2.12 on). Several processes look for the wish every
``PRINT_FREQ`` steps.
"""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TOLD = b"\nCtrl-C: saving and leaving after this step; once more to leave at once, without saving\n"


class StopSignal:
    """Whether somebody asked for the end.

    Attributes:
        number: of the signal that asked first, after :meth:`agreed` of any process; 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._interrupted = False

    def ask(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Take note (a signal handler).

        Raises:
            KeyboardInterrupt: at the second SIGINT.
        """
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            if os.environ.get("RANK", "0") == "0":
                os.write(2, _TOLD)  # a handler may have interrupted a print, and must not print itself
        self.number = self.number or number

    def agreed(self, device: torch.device) -> bool:
        """Whether any process was asked: the same answer in all of them, which call it together."""
        if dist.is_initialized():
            number = torch.tensor(self.number, device=device)
            dist.all_reduce(number, dist.ReduceOp.MAX)
            self.number = int(number.item())
        return self.number != 0


@contextmanager
def on_stop_signals() -> Iterator[StopSignal]:
    """Let SIGTERM and SIGINT ask for the end while the body runs; what is ignored, as in the background, stays so."""
    stop = StopSignal()
    handled = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop.ask) for number in handled}
    atexit.register(_end_workers)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_stop_signals(_worker: int) -> None:
    """Let a ``DataLoader`` worker live until its trainer has saved (a worker_init_fn).

    Schedulers and terminals signal all processes of a job at once. A worker ends when its trainer says so, or is gone.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end_workers() -> None:
    """Kill the workers that an error left behind: Python's own end sends SIGTERM, and would wait for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a DataLoader's handler would take their end for a failure
    for process in multiprocessing.active_children():
        process.kill()
