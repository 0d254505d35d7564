"""Which commands were run, and how long they took: one JSON line a run."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One run of a command.

    Attributes:
        step: what it does, in a word or two.
        command: as typed.
        seconds: that it took.
        finished: False: it failed, or was interrupted.
    """

    step: str
    command: str
    seconds: float
    finished: bool


class Journal:
    """The lines of a file, which need not be there yet.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._walked: list[str] = []

    @contextmanager
    def timed(self, step: str, command: str) -> Iterator[None]:
        """Time the body, which runs the command, and note how it ended."""
        started = time.monotonic()
        finished = False
        try:
            yield
            finished = True
        finally:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                entry = Entry(step, command, round(time.monotonic() - started, 1), finished)
                file.write(json.dumps(asdict(entry)) + "\n")

    def has_finished(self, command: str) -> bool:
        """Whether this very command came to its end before."""
        return any(entry.finished for entry in self._entries() if entry.command == command)

    def walk(self, command: str) -> None:
        """Note that a command is part of what is done now, whether it has to run or has finished before."""
        if command not in self._walked:
            self._walked.append(command)

    def walked(self) -> list[Entry]:
        """Return what is done now in its order, with the time of all runs: a killed one was not for nothing."""
        return [self._total(command) for command in self._walked if self.has_finished(command)]

    def _total(self, command: str) -> Entry:
        runs = [entry for entry in self._entries() if entry.command == command]
        return Entry(runs[-1].step, command, round(sum(entry.seconds for entry in runs), 1), True)

    def _entries(self) -> list[Entry]:
        if not self._path.is_file():
            return []
        entries = []
        for line in self._path.read_text().splitlines():
            try:
                entries.append(Entry(**json.loads(line)))
            except json.JSONDecodeError:  # a kill cut the line short
                continue
        return entries
