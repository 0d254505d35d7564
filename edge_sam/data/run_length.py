"""COCO's compressed run lengths, read without making whole masks of them.

A mask is a list of run lengths in column order, runs of 0 first. Compressed, each number is the run length itself (the
first three) or its difference to the one two places before, written in base 32 with a sign, lowest digit first, each
digit a character from ``0`` (code 48) on, with bit 5 set where more digits follow.
Source: ``rleFrString`` in the COCO API (maskApi.c).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CODE_OF_ZERO = 48
_MORE_DIGITS = 0x20
_SIGN = 0x10
_MAX_DIGITS = 7  # 35 bits: more than any picture has pixels


@dataclass(frozen=True)
class RunLengthTotals:
    """What is known of each of ``n`` masks from its run lengths alone.

    Attributes:
        pixels: ``(n,)`` pixels that the runs cover; -1 for text that is no compressed run lengths.
        area: ``(n,)`` pixels in the mask.
    """

    pixels: NDArray[np.int64]
    area: NDArray[np.int64]


def compressed_totals(texts: Sequence[bytes]) -> RunLengthTotals:
    """Sum up compressed run lengths; all texts at once, since a picture has a hundred."""
    count = len(texts)
    lengths = np.array([len(text) for text in texts], np.int64)
    codes = np.frombuffer(b"".join(texts), np.uint8) - _CODE_OF_ZERO  # wraps: foreign characters become large
    if not len(codes):
        return RunLengthTotals(np.zeros(count, np.int64), np.zeros(count, np.int64))
    bounds = np.cumsum(lengths)
    last_codes = bounds[lengths > 0] - 1
    ends_number = (codes & _MORE_DIGITS) == 0
    unended = last_codes[~ends_number[last_codes]]
    ends_number[last_codes] = True  # a malformed text must not run on into the next

    ends = np.flatnonzero(ends_number)
    first = np.searchsorted(ends, bounds - lengths)  # each text's first number
    numbers_in_text = np.diff(first, append=len(ends))
    differences, digits = _numbers(codes, ends)
    position = np.arange(len(ends)) - np.repeat(first, numbers_in_text)
    runs = _undo_differences(differences, position, first, numbers_in_text)
    bad_numbers = ends[(digits > _MAX_DIGITS) | (runs < 0)]
    bad_codes = np.concatenate([unended, np.flatnonzero(codes >= 2 * _MORE_DIGITS), bad_numbers])
    malformed = np.zeros(count, bool)
    malformed[np.searchsorted(bounds, bad_codes, side="right")] = True

    pixels = _sum_by_text(runs, first, numbers_in_text)
    area = _sum_by_text(runs * (position & 1), first, numbers_in_text)
    return RunLengthTotals(np.where(malformed, -1, pixels), np.where(malformed, 0, area))


def uncompressed_totals(runs: Sequence[Any]) -> tuple[int, int]:
    """Return (pixels covered, pixels in the mask) of a list of run lengths; (-1, 0) when it is no such list."""
    if not all(type(run) is int and run >= 0 for run in runs):
        return -1, 0
    return sum(runs), sum(runs[1::2])


def decode_columns(text: str | bytes, height: int, first: int, last: int) -> NDArray[np.uint8]:
    """Decode the columns from ``first`` up to ``last`` of sound compressed run lengths.

    Of a large picture that is several times faster than decoding all.

    Returns:
        0 or 1, ``(height, last - first)``, in column order.
    """
    return _columns(np.cumsum(_sound_runs(text)), height, first, last)


def decode_crop(text: str | bytes, height: int) -> tuple[NDArray[np.uint8], int, int]:
    """Decode the part of sound compressed run lengths that is not empty.

    Returns:
        0 or 1, ``(rows, columns)``, without an empty border (nothing at all where the mask is empty), in column order;
        and the numbers of its first row and of its first column in the picture.
    """
    runs = _sound_runs(text)
    bounds = np.cumsum(runs)
    in_mask = np.flatnonzero(runs[1::2]) * 2 + 1
    if not in_mask.size:
        return np.zeros((0, 0), np.uint8), 0, 0
    left, right = int(bounds[in_mask[0] - 1]) // height, int(bounds[in_mask[-1]] - 1) // height + 1
    pixels = _columns(bounds, height, left, right)
    rows = np.flatnonzero(pixels.any(axis=1))
    return pixels[rows[0] : rows[-1] + 1], int(rows[0]), left


def _sound_runs(text: str | bytes) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8) - _CODE_OF_ZERO
    differences, _ = _numbers(codes, np.flatnonzero((codes & _MORE_DIGITS) == 0))
    position = np.arange(len(differences))
    return _undo_differences(differences, position, np.array([0]), np.array([len(position)]))


def _columns(bounds: NDArray[np.int64], height: int, first: int, last: int) -> NDArray[np.uint8]:
    """Return the columns from ``first`` up to ``last`` of a mask whose runs end at ``bounds``."""
    lengths = np.diff(bounds.clip(first * height, last * height), prepend=first * height)
    values = (np.arange(len(bounds)) & 1).astype(np.uint8)
    return np.repeat(values, lengths).reshape(last - first, height).T


def _numbers(codes: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the signed numbers whose last digits stand at ``ends``, and how many digits each has."""
    digits = np.diff(ends, prepend=-1)
    starts = ends - digits + 1
    values = (codes[starts] & (_MORE_DIGITS - 1)).astype(np.int64)
    values[(digits == 1) & (codes[ends] & _SIGN != 0)] -= _MORE_DIGITS
    for place in range(1, min(int(digits.max()), _MAX_DIGITS)):
        longer = np.flatnonzero(digits > place)
        digit = codes[starts[longer] + place].astype(np.int64) & (_MORE_DIGITS - 1)
        ends_below_zero = (digits[longer] == place + 1) & (digit & _SIGN != 0)
        values[longer] += (digit - _MORE_DIGITS * ends_below_zero) << (5 * place)
    return values, digits


def _undo_differences(
    differences: NDArray[np.int64],
    position: NDArray[np.int64],
    first: NDArray[np.int64],
    numbers_in_text: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return run lengths from differences over two places; the very first run of a text has no successor."""
    runs = differences.copy()
    for parity in (0, 1):
        chain = np.flatnonzero(((position & 1) == parity) & (position > 0))
        sums = np.concatenate(([0], np.cumsum(differences[chain])))
        before = sums[np.searchsorted(chain, first)]
        runs[chain] = sums[1:] - np.repeat(before, numbers_in_text)[chain]
    return runs


def _sum_by_text(
    values: NDArray[np.int64], first: NDArray[np.int64], numbers_in_text: NDArray[np.int64]
) -> NDArray[np.int64]:
    sums = np.concatenate(([0], np.cumsum(values)))
    totals: NDArray[np.int64] = sums[first + numbers_in_text] - sums[first]
    return totals
