import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.inference.window import NO_PIXEL, Window


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 12), width=st.integers(1, 20))
def test_packed_masks_come_back(seed, height, width):
    crop = np.random.default_rng(seed).random((height, width)) < 0.5
    crop[-1, 0] = True
    for form in (crop, crop.astype(np.uint8), np.asfortranarray(crop)):
        mask = CroppedMask.from_crop(form, 7, 9)
        assert mask.crop().dtype == np.bool_ and np.array_equal(mask.crop(), crop)
        assert mask.window == Window(7, 9, 7 + height, 9 + width) and mask.area == crop.sum()


def test_empty_masks_are_nowhere():
    for shape in ((0, 0), (3, 4)):
        mask = CroppedMask.from_crop(np.zeros(shape, dtype=np.uint8), 5, 6)
        assert (mask.window, mask.area, mask.crop().shape) == (NO_PIXEL, 0, (0, 0))
