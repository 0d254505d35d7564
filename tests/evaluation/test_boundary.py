"""Boundary IoU equals that of the published arithmetic, and does not depend on the crop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edge_sam.evaluation.boundary import boundary_iou, boundary_width, mask_boundary


def blobs(seed, height, width):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 2.5)
    return noise > np.quantile(noise, 0.5)


def published_boundary(mask, width):
    """Erosion by a 3 x 3 square, ``width`` times, with the picture's border outside of the mask."""
    padded = np.pad(mask, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=width, border_value=0)
    return mask & ~eroded[1:-1, 1:-1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60), st.integers(1, 8))
def test_boundary_is_the_published_one(seed, height, width, distance):
    mask = blobs(seed, height, width)
    assert np.array_equal(mask_boundary(mask, distance), published_boundary(mask, distance))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_a_crop_that_holds_both_masks_gives_the_same(seed):
    rng = np.random.default_rng(seed)
    whole = np.zeros((2, 70, 90), dtype=bool)
    top, left = rng.integers(0, 30, 2)
    crop = whole[:, top : top + 40, left : left + 60]
    crop[:] = [blobs(seed, 40, 60), blobs(seed + 1, 40, 60)]
    assert boundary_iou(*crop, (70, 90)) == boundary_iou(*whole, (70, 90))


def test_width_of_the_boundary_is_a_share_of_the_diagonal():
    assert [boundary_width(size) for size in ((480, 640), (3, 4), (1500, 2250))] == [16, 1, 54]


def test_values_known_by_hand():
    mask = np.zeros((30, 40), dtype=bool)  # diagonal 50: one pixel
    mask[10:20, 10:20] = True
    assert np.count_nonzero(mask_boundary(mask, 1)) == 36
    shifted = np.roll(mask, 1, axis=1)
    # Two outlines of 36 pixels share 9 + 9 pixels of the upper and lower sides, and no more.
    assert boundary_iou(mask, shifted, (30, 40)) == pytest.approx(18 / (72 - 18))
    assert boundary_iou(mask, mask, (30, 40)) == 1.0
    assert boundary_iou(np.zeros_like(mask), mask, (30, 40)) == 0.0
    assert boundary_iou(np.zeros_like(mask), np.zeros_like(mask), (30, 40)) == 0.0
    assert mask_boundary(np.ones((5, 5), dtype=bool), 1).sum() == 16, "the picture's edge is outline"


def test_real_masks_have_the_boundaries_of_faster_coco_eval(shared):
    import json

    from faster_coco_eval.core.mask import rleToBoundary
    from pycocotools import mask as mask_utils

    tree = json.loads(shared("realdata", "coco", "annotations", "instances_val2017.json").read_text())
    rles = [one["segmentation"] for one in tree["annotations"] if isinstance(one["segmentation"], dict)]
    rles = [rle for rle in rles if isinstance(rle["counts"], str)][:20]
    assert len(rles) == 20
    for rle in rles:
        theirs = rleToBoundary(rle)
        mask = mask_utils.decode(rle).astype(bool)
        ours = mask_boundary(mask, boundary_width(tuple(rle["size"])))
        assert np.array_equal(ours, mask_utils.decode(theirs).astype(bool))
