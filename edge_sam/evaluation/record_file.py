"""Files that grow by a line, so that a killed program loses nothing but the line that it was writing."""

import json
import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError

Record = dict[str, Any]


class RecordFile:
    """One JSON object a line; the first, the header, says what the others are of.

    Args:
        path: made when it is not there; its folder must be there. What stands after the last whole line is cut off.
        header: what must stand there.

    Attributes:
        last: the last record; None where there is only the header.

    Raises:
        EdgeSamError: the file has another header, a line that is no JSON object, or cannot be read or written.
    """

    def __init__(self, path: Path, header: Record) -> None:
        self.path = path
        try:
            if not path.is_file():
                write_atomically(path, _line(header))
            self._cut_unfinished_line()
            lines = self._read()
            first = next(lines, None)
            last = deque(lines, maxlen=1)
        except OSError as error:
            raise EdgeSamError(f"{path}: cannot be read or written ({error.strerror})") from error
        if first != json.loads(_line(header)):
            raise EdgeSamError(f"{path}: holds another measurement than its name says; remove it")
        self.last: Record | None = last[0] if last else None

    def records(self) -> Iterator[Record]:
        """Read all but the header; they are not kept in memory."""
        return islice(self._read(), 1, None)

    def append(self, record: Record) -> None:
        """Write a record to the disk.

        Raises:
            EdgeSamError: it cannot be written.
        """
        try:
            with self.path.open("a") as file:
                file.write(_line(record))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EdgeSamError(f"{self.path}: cannot be written ({error.strerror})") from error
        self.last = record

    def _cut_unfinished_line(self) -> None:
        whole, newline, cut = self.path.read_bytes().rpartition(b"\n")
        if cut:
            os.truncate(self.path, len(whole) + len(newline))

    def _read(self) -> Iterator[Record]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    raise EdgeSamError(f"{self.path}: line {number} is broken; remove the file to measure again")
                yield record


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
