"""A command as a child process that does not outlive this one."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_WISHES = (signal.SIGTERM, signal.SIGHUP)


def run_child(command: Sequence[str], folder: Path) -> int:
    """Run a command in a folder to its end and return its exit status.

    SIGTERM or SIGHUP to this process is SIGTERM to the child, on which a training saves; so is Ctrl-C, which a terminal
    sends to the child as well. A second Ctrl-C kills it. Where this process ignores a signal, as under nohup, it still
    does.

    Raises:
        SystemExit: a signal came, and the child has ended; the status is 128 + the signal's number.
    """
    came: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for child in children:
            child.terminate()

    with _handled_by(pass_on):
        child = subprocess.Popen(command, cwd=folder)
        children.append(child)
        if came:  # while the child was started
            child.terminate()
        try:
            status = child.wait()
        except KeyboardInterrupt:
            child.terminate()
            try:
                child.wait()
            finally:
                child.kill()
                child.wait()
            raise
    if came:
        raise SystemExit(128 + came[0])
    return status


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that are not ignored while the body runs."""
    before = {number: signal.getsignal(number) for number in _WISHES}
    handled = [number for number in _WISHES if before[number] is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
