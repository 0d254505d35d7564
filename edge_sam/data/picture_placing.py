"""Pictures put into a data set's folder without taking room where that is possible."""

from pathlib import Path

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError


def place_picture(source: Path, target: Path, content: bytes, copy: bool) -> None:
    """Put a picture there, as a hard link where it can be one; nothing is done where it lies there already.

    Args:
        source: the file.
        target: where it shall be found; its folder is there.
        content: of the file.
        copy: make a copy even where a link is possible.

    Raises:
        EdgeSamError: another file of that name is there.
        OSError: it cannot be written.
    """
    if target.exists():
        if not target.samefile(source) and target.read_bytes() != content:
            raise EdgeSamError(f"{target}: is there already, with other content than {source}")
        return
    if not copy:
        try:
            target.hardlink_to(source.resolve())
        except OSError:  # another disk, or a file system without links
            pass
        else:
            return
    write_atomically(target, content)
