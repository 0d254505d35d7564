import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from edge_sam.data.run_length_encoding import compress_runs, decode_runs, encode_crop


@st.composite
def crops(draw):
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    rows, columns = draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
    density = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    crop = np.random.default_rng(draw(st.integers(0, 99))).random((rows, columns)) < density
    return crop, left, top, (height, width)


@given(crops())
def test_a_crops_runs_are_those_of_the_whole_mask(drawn):
    crop, left, top, size = drawn
    whole = np.zeros(size, bool)
    whole[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    runs = encode_crop(crop, left, top, size)
    assert np.array_equal(decode_runs(runs, size), whole)
    expected = mask_utils.encode(np.asfortranarray(whole.astype(np.uint8)))
    assert compress_runs(runs, size) == {"size": list(size), "counts": expected["counts"].decode()}
