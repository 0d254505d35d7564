"""Low-resolution logits at the size of the image file, computed only where a mask can be.

SAM enlarges logits twice: bilinearly to the padded square, and bilinearly from the picture in it to the file. Both
steps are linear and treat rows and columns apart, so together they are ``rows @ logits @ columns.T`` with two small
matrices of at most four taps a row: a few low-resolution pixels that lie side by side. No weight is negative and each
row's sum to one, so no pixel is above a threshold where none of its taps is. The numbers are those of
:meth:`edge_sam.modeling.sam.Sam.postprocess_masks` but for float rounding.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.inference.window import NO_PIXEL, Window
from edge_sam.modeling.sam import MASK_THRESHOLD

_BAND = 64
"""Rows of the picture that are enlarged at once: few low-resolution rows make them, and they fit the cache."""


class MaskUpsampler:
    """Enlarges the low-resolution logits of one image.

    Args:
        low_side: of the square of logits, s/4.
        image_size: side s of the padded square.
        size: (h, w) of the resized image before padding.
        original_size: (H, W) of the image file.
        device: where the logits are.
    """

    def __init__(
        self,
        low_side: int,
        image_size: int,
        size: tuple[int, int],
        original_size: tuple[int, int],
        device: torch.device | str = "cpu",
    ) -> None:
        axes = [_Axis(low_side, image_size, size[i], original_size[i], device) for i in (0, 1)]
        self._rows, self._columns = axes

    def windows(self, masks: Tensor, threshold: float = MASK_THRESHOLD) -> list[Window]:
        """Return the part of the picture outside of which no pixel of a mask is above ``threshold``.

        Args:
            masks: logits (N, 4h, 4w).
            threshold: of the masks.
        """
        # The largest of each row and column says whether one is above, ten times faster than comparing all; and one
        # transfer brings them here.
        edges = (torch.cat([masks.amax(dim=2), masks.amax(dim=1)], dim=1) > threshold).cpu().numpy()
        side = masks.shape[1]
        rows, columns = self._rows.reach(edges[:, :side]), self._columns.reach(edges[:, side:])
        return [
            Window(top, left, bottom, right) if top < bottom and left < right else NO_PIXEL
            for (top, bottom), (left, right) in zip(rows, columns, strict=True)
        ]

    def logits(self, mask: Tensor, window: Window) -> Tensor:
        """Return the logits float32 (rows, columns) of the picture inside ``window``.

        Args:
            mask: logits (4h, 4w).
            window: within the picture.
        """
        return torch.cat([mask.new_zeros((0, window.shape[1]), dtype=torch.float32), *self._bands(mask, window)])

    def binary_mask(self, mask: Tensor, window: Window, threshold: float = MASK_THRESHOLD) -> Tensor:
        """Return which pixels bool (rows, columns) of the picture inside ``window`` are above ``threshold``.

        Args:
            mask: logits (4h, 4w).
            window: within the picture.
            threshold: of the mask.
        """
        empty = torch.zeros((0, window.shape[1]), dtype=torch.bool, device=mask.device)
        return torch.cat([empty, *(band > threshold for band in self._bands(mask, window))])

    def _bands(self, mask: Tensor, window: Window) -> Iterator[Tensor]:
        if not window:
            return
        used_rows = self._rows.taps(window.top, window.bottom)
        used_columns = self._columns.taps(window.left, window.right)
        # Autocast would round the weights to bf16.
        with torch.autocast(mask.device.type, enabled=False):
            columns = self._columns.weights[window.left : window.right, used_columns]
            widened = mask[used_rows, used_columns].float() @ columns.T
            for top in range(window.top, window.bottom, _BAND):
                bottom = min(top + _BAND, window.bottom)
                taps = self._rows.taps(top, bottom)
                of_band = widened[taps.start - used_rows.start : taps.stop - used_rows.start]
                yield self._rows.weights[top:bottom, taps] @ of_band


class _Axis:
    """How the pixels of a picture along one axis are made of low-resolution ones.

    Attributes:
        weights: float32 (side of the file, ``low_side``).
    """

    def __init__(self, low_side: int, image_size: int, size: int, original: int, device: torch.device | str) -> None:
        self.weights, self._first, self._last = _weights(low_side, image_size, size, original)
        self.weights = self.weights.to(device)

    def taps(self, start: int, stop: int) -> slice:
        """Return the low-resolution pixels that the picture's pixels from ``start`` up to ``stop`` are made of."""
        return slice(int(self._first[start]), int(self._last[stop - 1]) + 1)

    def reach(self, marked: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
        """Return from where to where the picture's pixels can have a marked tap, for each row of (N, ``low_side``)."""
        first = marked.argmax(axis=1)
        last = marked.shape[1] - 1 - marked[:, ::-1].argmax(axis=1)
        starts = np.searchsorted(self._last, first, side="left")
        stops = np.searchsorted(self._first, last, side="right")
        some = marked.any(axis=1)
        return [(int(start), int(stop)) for start, stop in zip(starts * some, stops * some, strict=True)]


@lru_cache(maxsize=32)
def _weights(
    low_side: int, image_size: int, size: int, original: int
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Return the weights (original, low_side), and the first and last tap (original,) of each pixel.

    What the two interpolations make of each unit vector.
    """
    square = F.interpolate(torch.eye(low_side)[None], image_size, mode="linear", align_corners=False)
    weights = F.interpolate(square[..., :size], original, mode="linear", align_corners=False)[0].T.contiguous()
    used = weights.numpy() > 0
    first, last = used.argmax(axis=1), low_side - 1 - used[:, ::-1].argmax(axis=1)
    return weights, first, last
