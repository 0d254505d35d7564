"""Which images of a data set are used: the first so many by name, or those that a list names."""

from collections.abc import Collection

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
