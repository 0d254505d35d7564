"""Small files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

TEMPORARY_SUFFIX = ".unfinished"
"""Of the files ``.NAME.*`` that a killed process may leave behind."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name and rename it, also when several processes write the same.

    Text is encoded as UTF-8.

    Raises:
        OSError: it cannot be written; an earlier file of that name stays as it was.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
