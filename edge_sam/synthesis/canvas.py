"""The picture while it is painted, together with who owns each pixel.

Every thing and part that has a mask is a node of a tree. A pixel belongs to the node that was painted there last; the
mask of a node is what belongs to it or to its descendants, so masks are exactly the visible pixels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edge_sam.synthesis.fields import Field
from edge_sam.synthesis.light import Light
from edge_sam.synthesis.rasterizing import Mask, blurred, softened
from edge_sam.synthesis.textures import Picture

ROOT = 0
"""The node that has no mask."""
_PIXEL = np.dtype("V3")  # three bytes that are copied as one
_VISIBLE, _OPAQUE = 2, 254


class Canvas:
    """A picture of ``height`` x ``width`` pixels and its nodes.

    Attributes:
        picture: ``(height, width, 3)``.
        owners: ``(height, width)``: the node of each pixel.
        parents: of each node; :data:`ROOT` is its own.
        light: of the scene.
        scale: long side / 512: pixels of this picture for a pixel of a picture of 512.
    """

    def __init__(self, height: int, width: int, light: Light) -> None:
        self.height, self.width, self.light = height, width, light
        self.scale = max(height, width) / 512.0
        self.picture: Picture = np.full((height, width, 3), 127, np.uint8)
        self.owners: NDArray[np.uint16] = np.zeros((height, width), np.uint16)
        self.parents: list[int] = [ROOT]

    def add_node(self, parent: int = ROOT) -> int:
        """Return a new node."""
        self.parents.append(parent)
        return len(self.parents) - 1

    def paint(self, mask: Mask, colors: Picture, top: int, left: int, node: int | None, softness: float = 0.6) -> None:
        """Paint a surface where ``mask`` holds.

        Args:
            mask: ``(h, w)``.
            colors: ``(h, w, 3)``.
            top: row of the picture that is the mask's first.
            left: column of the picture that is the mask's first.
            node: that the pixels belong to; None leaves them to whom they belong.
            softness: radius over which the edge is blended, in pixels.
        """
        area = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
        if mask.all():
            self.picture[area] = colors
        else:
            self.blend(area, colors, softened(mask, softness))
        if node is not None:
            self.owners[area][mask] = node

    def blend(self, area: tuple[slice, slice], colors: Picture, opacity: Field) -> None:
        """Mix colours into a rectangle; opacity 255 replaces."""
        below, above = self.picture[area].view(_PIXEL)[..., 0], np.ascontiguousarray(colors).view(_PIXEL)[..., 0]
        np.copyto(below, above, where=opacity >= _OPAQUE)
        row, column = np.divmod(np.flatnonzero((opacity >= _VISIBLE) & (opacity < _OPAQUE)), opacity.shape[1])
        share = ((opacity[row, column].astype(np.int16) + 2) >> 2)[:, None]  # 1..63, so that products fit
        edge = below[row, column].view(np.uint8).reshape(-1, 3)
        new = above[row, column].view(np.uint8).reshape(-1, 3).astype(np.int16)
        below[row, column] = (edge + (((new - edge) * share) >> 6)).astype(np.uint8).view(_PIXEL)[:, 0]

    def shade(self, area: tuple[slice, slice], brightness: Field) -> None:
        """Multiply a rectangle by brightness; 128 leaves it as it is."""
        self.picture[area] = shaded(self.picture[area], brightness)

    def darken(self, top: int, left: int, shadow: Field, strength: float) -> None:
        """Lay a shadow, 0..255, on the picture; it may reach over the edge."""
        rows, columns = np.flatnonzero(shadow.any(1)), np.flatnonzero(shadow.any(0))
        if not len(rows):
            return
        first, start = max(top + int(rows[0]), 0), max(left + int(columns[0]), 0)
        last, end = min(top + int(rows[-1]) + 1, self.height), min(left + int(columns[-1]) + 1, self.width)
        if first < last and start < end:
            part = shadow[first - top : last - top, start - left : end - left].astype(np.uint16)
            brightness = (128 - ((part * int(strength * 128)) >> 8)).astype(np.uint8)
            self.shade(np.s_[first:last, start:end], brightness)

    def blur(self, radius: float) -> None:
        """Put what is painted so far out of focus; masks stay."""
        self.picture = blurred(blurred(self.picture, radius * 0.6), radius * 0.6).copy()

    def mean_color(self, top: int, left: int, height: int, width: int) -> tuple[float, float, float]:
        """Return the average colour of a rectangle."""
        part = self.picture[top : top + height : 4, left : left + width : 4].reshape(-1, 3)
        sums = part.sum(0, dtype=np.int64) // max(len(part), 1)
        return float(sums[0]), float(sums[1]), float(sums[2])

    def areas(self) -> NDArray[np.int64]:
        """Return the pixels of each node's mask."""
        areas = np.bincount(self.owners.ravel(), minlength=len(self.parents)).astype(np.int64)
        for node in range(len(self.parents) - 1, 0, -1):  # children come after their parents
            areas[self.parents[node]] += areas[node]
        return areas

    def box_sides(self) -> list[int]:
        """Return the shorter side of the box around each node's mask; 0 where nothing is seen of it."""
        boxes = [(self.height, self.width, 0, 0)] * len(self.parents)
        for node, found in enumerate(ndimage.find_objects(self.owners, len(self.parents) - 1), 1):
            if found:
                boxes[node] = (found[0].start, found[1].start, found[0].stop, found[1].stop)
        for node in range(len(self.parents) - 1, 0, -1):
            (top, left, bottom, right), other = boxes[node], boxes[self.parents[node]]
            joined = (min(top, other[0]), min(left, other[1]), max(bottom, other[2]), max(right, other[3]))
            boxes[self.parents[node]] = joined
        return [max(min(bottom - top, right - left), 0) for top, left, bottom, right in boxes]

    def masks(self, nodes: list[int]) -> NDArray[np.uint8]:
        """Return the masks of nodes, ``(n, height, width)``, 0 or 1, in memory column by column, as run lengths are."""
        by_columns = np.ascontiguousarray(self.owners.T)
        masks = np.empty((len(nodes), self.width, self.height), np.uint8)
        for index, node in enumerate(nodes):
            belongs = np.zeros(len(self.parents), np.uint8)
            belongs[node] = 1
            for child in range(node + 1, len(self.parents)):
                belongs[child] = belongs[self.parents[child]]
            np.take(belongs, by_columns, out=masks[index], mode="clip")
        return masks.transpose(0, 2, 1)


def shaded(colors: Picture, brightness: Field) -> Picture:
    """Multiply colours by brightness; 128 leaves them as they are."""
    limited: Picture = np.minimum((colors.astype(np.uint16) * brightness[..., None]) >> 7, 255).astype(np.uint8)
    return limited
