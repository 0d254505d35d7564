"""Which images of a data set are used: the first so many by name, or those that a list names."""

from collections.abc import Collection, Iterable
from pathlib import Path

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError


def choose_images(
    names: tuple[str, ...], number: int, listed: Collection[str] | None = None, where: str = "the data set"
) -> tuple[str, ...]:
    """Return the names of the images to use, in their order.

    Args:
        names: of all images, sorted.
        number: the first so many, -1 for all; it does not count where there is a list.
        listed: use these and no others.
        where: the images are, for an error's text.

    Raises:
        EdgeSamError: a number below 1 other than -1, or images are listed that are not there.
    """
    if listed is not None:
        wanted = set(listed)
        missing = sorted(wanted.difference(names))
        if missing:
            raise EdgeSamError(f"{where}: lacks {len(missing)} of the {len(wanted)} listed images, e.g. {missing[0]}")
        return tuple(name for name in names if name in wanted)
    if number == 0 or number < -1:
        raise EdgeSamError(f"number of samples is {number}; it should be positive, or -1 for all")
    return names if number == -1 else names[:number]


def read_image_list(file: Path) -> tuple[str, ...]:
    """Return the names in a text file, one a line, without the pictures' endings.

    Raises:
        EdgeSamError: it cannot be read, is empty, or has a name twice.
    """
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except OSError as error:
        raise EdgeSamError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise EdgeSamError(f"{file}: is not a list of names in UTF-8, one a line ({error.reason})") from error
    if not names:
        raise EdgeSamError(f"{file}: names no image; it should have one name a line")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise EdgeSamError(f"{file}: names {twice} twice")
    return names


def write_image_list(file: Path, names: Iterable[str]) -> None:
    """Write names so that :func:`read_image_list` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "".join(f"{name}\n" for name in names))
