"""COCO's compressed run lengths, read without making masks of them.

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
    codes = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - _CODE_OF_ZERO
    if not len(codes):
        return RunLengthTotals(np.zeros(count, np.int64), np.zeros(count, np.int64))
    text_of_code = np.repeat(np.arange(count), lengths)
    last_codes = np.cumsum(lengths)[lengths > 0] - 1

    malformed = np.zeros(count, bool)
    malformed[text_of_code[(codes < 0) | (codes >= 2 * _MORE_DIGITS)]] = True
    ends_number = (codes & _MORE_DIGITS) == 0
    malformed[text_of_code[last_codes[~ends_number[last_codes]]]] = True
    ends_number[last_codes] = True  # a malformed text must not run on into the next

    ends = np.flatnonzero(ends_number)
    text_of_number = text_of_code[ends]
    differences, digits = _numbers(codes, ends)
    malformed[text_of_number[digits > _MAX_DIGITS]] = True
    runs, position = _undo_differences(differences, text_of_number, count)
    malformed[text_of_number[runs < 0]] = True

    pixels = _sum_by_text(runs, text_of_number, count)
    area = _sum_by_text(np.where(position % 2 == 1, runs, 0), text_of_number, count)
    return RunLengthTotals(np.where(malformed, -1, pixels), np.where(malformed, 0, area))


def uncompressed_totals(runs: Sequence[Any]) -> tuple[int, int]:
    """Return (pixels covered, pixels in the mask) of a list of run lengths; (-1, 0) when it is no such list."""
    if not all(type(run) is int and run >= 0 for run in runs):
        return -1, 0
    return sum(runs), sum(runs[1::2])


def _numbers(codes: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the signed numbers whose last digits stand at ``ends``, and how many digits each has."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    digits = ends - starts + 1
    place = np.minimum(np.arange(len(codes)) - np.repeat(starts, digits), _MAX_DIGITS)
    values = np.add.reduceat((codes & (_MORE_DIGITS - 1)) << (5 * place), starts)
    negative = (codes[ends] & _SIGN) != 0
    return values - np.where(negative, np.int64(1) << (5 * np.minimum(digits, _MAX_DIGITS)), 0), digits


def _undo_differences(
    differences: NDArray[np.int64], text: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return run lengths, and each one's position in its text, from differences over two places."""
    first = np.searchsorted(text, np.arange(count))
    position = np.arange(len(text)) - first[text]
    runs = np.where(position == 0, differences, 0)
    for parity in (0, 1):
        chain = (position % 2 == parity) & (position > 0)  # the very first run has no successor in its chain
        sums = np.cumsum(np.where(chain, differences, 0))
        before = np.concatenate(([0], sums))[first]
        runs = np.where(chain, sums - before[text], runs)
    return runs, position


def _sum_by_text(values: NDArray[np.int64], text: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    sums = np.concatenate(([0], np.cumsum(values)))
    bounds = np.searchsorted(text, np.arange(count + 1))
    return np.diff(sums[bounds])
