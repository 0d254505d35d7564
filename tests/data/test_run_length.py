"""Run lengths against masks that were really decoded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as mask_utils

from edge_sam.data.run_length import compressed_totals, decode_columns, decode_crop, uncompressed_totals

masks = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


def encode(mask: np.ndarray) -> bytes:
    return mask_utils.encode(np.asfortranarray(mask))["counts"]


@given(st.lists(masks, max_size=8))
def test_totals_are_those_of_the_masks(several):
    totals = compressed_totals([encode(mask) for mask in several])
    assert totals.pixels.tolist() == [mask.size for mask in several]
    assert totals.area.tolist() == [int(mask.sum()) for mask in several]


def test_long_runs_and_many_digits():
    mask = np.zeros((1500, 2250), np.uint8)
    mask[700:703, 1000:1700] = 1
    mask[-1, -1] = 1
    totals = compressed_totals([b"", encode(mask), b""])
    assert totals.pixels.tolist() == [0, mask.size, 0]
    assert totals.area.tolist() == [0, 2101, 0]


@given(st.lists(st.binary(max_size=30), max_size=8), masks)
def test_malformed_text_harms_no_neighbour(texts, mask):
    totals = compressed_totals([*texts, encode(mask), *texts])
    assert totals.pixels[len(texts)] == mask.size
    assert totals.area[len(texts)] == mask.sum()
    assert (totals.pixels >= -1).all()


def test_malformed_text_is_told():
    unended, foreign, negative, endless = b"P", b"\xff1", b"5J9", b"o" * 20 + b"0"
    assert compressed_totals([unended, foreign, negative, endless]).pixels.tolist() == [-1, -1, -1, -1]


def test_uncompressed_totals():
    assert uncompressed_totals([3, 4, 5]) == (12, 4)
    assert uncompressed_totals([]) == (0, 0)
    for wrong in ([3, -1, 2], [1.5], [True], ["4"], [None]):
        assert uncompressed_totals(wrong) == (-1, 0)


@given(masks, st.data())
def test_columns_are_those_of_the_mask(mask, data):
    height, width = mask.shape
    first = data.draw(st.integers(0, width))
    last = data.draw(st.integers(first, width))
    text = encode(mask)
    for form in (text, text.decode()):
        np.testing.assert_array_equal(decode_columns(form, height, first, last), mask[:, first:last])


@given(masks, st.data())
def test_crops_are_the_masks_without_their_empty_border(mask, data):
    height, width = mask.shape
    changes = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=0, append=2))
    runs = np.diff(changes, prepend=0).tolist()
    for _ in range(data.draw(st.integers(0, 2), label="runs of no length")):
        place = data.draw(st.integers(0, len(runs) - 1))
        kept = data.draw(st.integers(0, runs[place]))
        runs[place : place + 1] = [kept, 0, runs[place] - kept]
    text = mask_utils.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
    crop, top, left = decode_crop(text, height)
    whole = np.zeros_like(mask)
    whole[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    np.testing.assert_array_equal(whole, mask)
    border = [crop[[0, -1]].any(axis=1), crop[:, [0, -1]].any(axis=0)] if mask.any() else []
    assert np.all(border) and bool(crop.size) == mask.any()
