"""From outlines to pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge_sam.synthesis.fields import Field
from edge_sam.synthesis.outlines import Outline

Mask = NDArray[np.bool_]


def rasterize(outlines: list[Outline], top: int, left: int, height: int, width: int) -> Mask:
    """Return the pixels whose centres lie inside of any of some outlines (non-zero winding rule).

    Args:
        outlines: in pixels of the picture; all turn the same way.
        top: row of the picture that is the mask's first.
        left: column of the picture that is the mask's first.
        height: of the mask.
        width: of the mask.

    Returns:
        ``(height, width)``, a rectangle of the picture.
    """
    starts = np.concatenate(outlines) - (left, top)
    ends = np.concatenate([part for outline in outlines for part in (outline[1:], outline[:1])]) - (left, top)
    centers = np.arange(height) + 0.5
    above, below = starts[:, 1, None] <= centers, ends[:, 1, None] <= centers
    edge, row = np.nonzero(above != below)
    (x, y), (next_x, next_y) = starts[edge].T, ends[edge].T
    crossing = x + (centers[row] - y) * ((next_x - x) / (next_y - y))
    place = row * (width + 1) + np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    turns = np.zeros(height * (width + 1), np.int16)
    np.add.at(turns, place, np.where(above[edge, row], np.int16(1), np.int16(-1)))
    winding: NDArray[np.int16] = np.cumsum(turns.reshape(height, width + 1)[:, :-1], axis=1, dtype=np.int16)
    inside: Mask = winding != 0
    return inside


def bounds(outlines: list[Outline], height: int, width: int, margin: int = 0) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the part of the picture that outlines reach; 0 high or wide if none."""
    points = np.concatenate(outlines)
    low = np.floor(points.min(0)).astype(int) - margin
    high = np.ceil(points.max(0)).astype(int) + 1 + margin
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    return top, left, max(min(int(high[1]), height) - top, 0), max(min(int(high[0]), width) - left, 0)


def softened(mask: Mask, radius: float) -> Field:
    """Return the mask as 0..255 with a soft edge."""
    return blurred(mask.view(np.uint8) * np.uint8(255), radius)


def blurred(values: Field, radius: float) -> Field:
    """Average over a square; ``(h, w)`` or ``(h, w, 3)``."""
    return np.asarray(Image.fromarray(values).filter(ImageFilter.BoxBlur(radius)))


def resized(values: Field, height: int, width: int) -> Field:
    """Enlarge smoothly."""
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
