"""What a view of a picture shows of the picture's masks, and the prompts and targets that come from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from edge_sam.data.annotations import Annotation
from edge_sam.data.augmentation import View
from edge_sam.data.run_length import decode_columns
from edge_sam.prompts.first_points import mask_random_points

LOW_RESOLUTION_STRIDE = 4
"""Input pixels a pixel of low-resolution masks, each way."""

_SMALLEST_SHARE = 0.2
"""A mask of which a crop leaves less than this is no longer what was annotated."""


@dataclass(frozen=True)
class VisibleMask:
    """The pixels of one mask that a view shows.

    Attributes:
        annotation: whose mask it is.
        view: of the picture.
        pixels: uint8 ``(rows, columns)``, 0 or 1; no border row or column is empty. Not resized.
        left: first column, in pixels of the view's rectangle (mirrored, if the view is).
        top: first row.
        box_end: where the annotation's box ends, from the mask's last pixel on: 0 where at that pixel, as SA-1B's and
            those of ``edgesam label`` do, 1 where beyond it, as COCO's and drawn ones do.
    """

    annotation: Annotation
    view: View
    pixels: NDArray[np.uint8]
    left: int
    top: int
    box_end: int

    def box(self) -> NDArray[np.float64]:
        """Return ``(4,)`` left, top, right, bottom, in pixels of the rectangle.

        It is the annotation's where the view shows the whole picture, and tight around what is left of the mask in a
        crop; either way it ends as the annotation's does, so that a view has the box that its own file would have.
        """
        if not self.view.shows_all_of(self.annotation.size):
            down, across = (length - 1 + self.box_end for length in self.pixels.shape)
            return np.array([self.left, self.top, self.left + across, self.top + down], np.float64)
        left, top, right, bottom = self.annotation.box_xyxy
        if self.view.mirrored:
            end = self.view.width - 1 + self.box_end
            left, right = end - right, end - left
        return np.array([left, top, right, bottom])

    def random_point(self, noise: float) -> NDArray[np.float64]:
        """Return ``(2,)`` column and row of the mask's pixel that ``noise`` in [0, 1) picks."""
        point: NDArray[np.float64] = mask_random_points([self.pixels], [noise])[0] + (self.left, self.top)
        return point

    def coverage(self, side: int) -> NDArray[np.uint8]:
        """Return how much of each low-resolution pixel the mask covers, by exact areas.

        Args:
            side: of the padded square, in input pixels.

        Returns:
            uint8 ``(side / 4, side / 4)``, from 0 to 255 where as much of a pixel's 4 x 4 input pixels as lies in the
            view is covered.
        """
        pixels_down, pixels_across = (LOW_RESOLUTION_STRIDE / scale for scale in self.view.scale)
        covered = np.zeros((side // LOW_RESOLUTION_STRIDE,) * 2, np.uint8)
        rows = _cells(self.top, self.pixels.shape[0], pixels_down, len(covered))
        columns = _cells(self.left, self.pixels.shape[1], pixels_across, len(covered))
        row_edges = (np.arange(rows.start, rows.stop + 1) * pixels_down).clip(max=self.view.height)
        column_edges = (np.arange(columns.start, columns.stop + 1) * pixels_across).clip(max=self.view.width)
        # Decoded masks lie column by column in memory: sum down first.
        down = _sums_between(self.pixels.T, row_edges - self.top)
        areas = _sums_between(down.T, column_edges - self.left)
        covered[rows, columns] = 255 * areas / np.outer(np.diff(row_edges), np.diff(column_edges)) + 0.5
        return covered


def visible_masks(
    annotations: Sequence[Annotation], view: View, order: Iterable[int], most: int | None
) -> list[VisibleMask]:
    """Decode annotations in the given order until ``most`` of them are well in view; return them in their own order.

    Left out are masks of which less than a fifth is in view, or less than the area of one low-resolution pixel.
    """
    found: dict[int, VisibleMask] = {}
    for position in order:
        if len(found) == most:
            break
        mask = _look(annotations[position], view)
        if mask is not None:
            found[position] = mask
    return [found[position] for position in sorted(found)]


def _look(annotation: Annotation, view: View) -> VisibleMask | None:
    rle = annotation.rle
    x, y, width, height = (int(value) for value in mask_utils.toBbox(rle))
    left, top = max(x, view.left), max(y, view.top)
    right, bottom = min(x + width, view.left + view.width), min(y + height, view.top + view.height)
    if right <= left or bottom <= top:
        return None
    pixels = decode_columns(rle["counts"], annotation.size[0], left, right)[top:bottom]
    area = np.count_nonzero(pixels)
    smallest = LOW_RESOLUTION_STRIDE**2 / (view.scale[0] * view.scale[1])
    if area < max(smallest, _SMALLEST_SHARE * float(mask_utils.area(rle))):
        return None
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    left, top = left + int(columns[0]) - view.left, top + int(rows[0]) - view.top
    if view.mirrored:
        pixels, left = pixels[:, ::-1], view.width - left - pixels.shape[1]
    box_end = int(annotation.box_xyxy[2] > x + width - 0.5)
    return VisibleMask(annotation, view, pixels, left, top, box_end)


def _cells(start: int, length: int, pixels_in_cell: float, count: int) -> slice:
    """Return which of ``count`` cells ``length`` pixels from ``start`` on lie in."""
    end = int(np.ceil((start + length) / pixels_in_cell - 1e-6))  # the quotient may be a hair above a whole number
    return slice(int(start / pixels_in_cell), min(end, count))


def _sums_between(values: NDArray[np.generic], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum ``values`` (n, m) along the second axis from each of the k + 1 ``edges`` to the next: (n, k).

    Value j reaches from j to j + 1, so an edge at 2.25 cuts a quarter off value 2. Nothing lies outside of 0 to m.
    """
    edges = edges.clip(0, values.shape[1])
    before = np.minimum(edges.astype(np.int64), values.shape[1] - 1)
    totals = np.zeros((values.shape[0], values.shape[1] + 1), np.float64)
    np.cumsum(values, axis=1, out=totals[:, 1:])
    return np.diff(totals[:, before] + values[:, before] * (edges - before))
