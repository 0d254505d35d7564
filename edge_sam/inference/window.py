"""Rectangles of whole pixels: where in a picture something is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Rows from ``top`` up to ``bottom``, columns from ``left`` up to ``right``; the last ones are outside.

    A window without a pixel is all zero.
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not self and (self.top, self.left, self.bottom, self.right) != (0, 0, 0, 0):
            raise ValueError(f"a window without a pixel is Window(0, 0, 0, 0), not {self}")

    def __bool__(self) -> bool:
        """Whether there is a pixel in it."""
        return self.top < self.bottom and self.left < self.right

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def intersection(self, other: "Window") -> "Window":
        """Return the pixels that are in both."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else NO_PIXEL

    def around(self, other: "Window") -> "Window":
        """Return the smallest window that holds both."""
        if not (self and other):
            return self or other
        return Window(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def within(self, frame: "Window") -> tuple[slice, slice]:
        """Return where this window's rows and columns are in an array that shows ``frame``, which holds it."""
        rows = slice(self.top - frame.top, self.bottom - frame.top)
        return (rows, slice(self.left - frame.left, self.right - frame.left)) if self else (slice(0), slice(0))


NO_PIXEL = Window(0, 0, 0, 0)
