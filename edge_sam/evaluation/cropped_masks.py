"""Masks kept as the part of the picture that they lie in."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_sam.inference.window import NO_PIXEL, Window


@dataclass(frozen=True)
class CroppedMask:
    """A mask of a picture.

    Attributes:
        window: outside of which it is empty.
        bits: uint8 (rows, ceil(columns / 8)): the mask inside the window, eight pixels a byte.
        area: pixels in the mask.
    """

    window: Window
    bits: NDArray[np.uint8]
    area: int

    @classmethod
    def from_crop(cls, crop: NDArray[np.bool_] | NDArray[np.uint8], top: int = 0, left: int = 0) -> Self:
        """Take a crop (rows, columns), 0 where there is no mask, whose first pixel is the picture's (top, left)."""
        area = int(np.count_nonzero(crop))
        if not area:
            return cls(NO_PIXEL, np.zeros((0, 0), dtype=np.uint8), 0)
        window = Window(top, left, top + crop.shape[0], left + crop.shape[1])
        return cls(window, np.packbits(np.ascontiguousarray(crop), axis=1), area)

    def crop(self) -> NDArray[np.bool_]:
        """Return the mask inside its window."""
        return np.unpackbits(self.bits, axis=1, count=self.window.shape[1]).view(np.bool_)
