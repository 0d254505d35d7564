"""One run at a time in one place."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_sam.errors import EdgeSamError

_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def exclusive_lock(file: Path, busy: str) -> Iterator[None]:
    """Hold a lock while the body runs; other processes, on other machines too, are refused meanwhile.

    The lock ends with the process, however that ends, and child processes do not inherit it: a ``DataLoader`` worker
    that outlives a killed run keeps nobody out. Within one process it excludes nothing. File systems without locks
    (some of clusters) are used without.

    Args:
        file: made when it is not there, and left behind; its folder must be there.
        busy: the message when another process holds the lock.

    Raises:
        EdgeSamError: another process holds the lock, or the file cannot be written.
    """
    try:
        opened = file.open("w")
    except OSError as error:
        raise EdgeSamError(f"{file}: cannot be written ({error.strerror})") from error
    with opened:
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise EdgeSamError(busy) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
        yield
