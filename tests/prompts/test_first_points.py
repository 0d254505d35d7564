from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from scipy import ndimage

from edge_sam.prompts.first_points import box_center_points, mask_center_points, mask_random_points


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), share=st.floats(0.05, 1)
)
def test_center_is_the_farthest_pixel_of_the_whole_picture(seed, shape, share):
    mask = (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)
    mask[-1, 0] = 1
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    ((column, row),) = mask_center_points([mask]).astype(int)
    assert mask[row, column]
    assert distance[row, column] == distance.max()
    assert row * shape[1] + column == distance.argmax(), "of equals the first"


def smooth_mask(seed, shape, coarse, share):
    field = np.random.default_rng(seed).standard_normal((coarse, coarse))
    rows, columns = (np.linspace(0, coarse - 1, side) for side in shape)
    field = ndimage.map_coordinates(field, np.meshgrid(rows, columns, indexing="ij"), order=1)
    return (field > np.quantile(field, 1 - share)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    coarse=st.sampled_from([2, 4, 10]), share=st.sampled_from([0.05, 0.3, 0.8, 1]),
)  # fmt: skip
def test_center_of_large_masks_is_found_by_blocks_and_the_same(seed, shape, coarse, share):
    mask = smooth_mask(seed, shape, coarse, share)
    mask[-1, 0] = 1
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    with mock.patch("edge_sam.prompts.first_points._SEARCH", 10**9):
        found = mask_center_points([mask])
    assert found.tolist() == mask_center_points([mask]).tolist()
    assert found.tolist() == [list(np.unravel_index(distance.argmax(), shape))[::-1]]


def test_center_of_a_disc_beside_a_stripe():
    rows, columns = np.mgrid[:60, :90]
    disc = (rows - 30) ** 2 + (columns - 40) ** 2 <= 15**2
    assert mask_center_points([(disc | (rows == 30)).astype(np.uint8)]).tolist() == [[40, 30]]


def test_center_lies_near_the_published_approximation(golden):
    arrays = golden("evaluation")
    height, width = arrays["size"]
    rle = [{"size": [int(height), int(width)], "counts": str(text).encode()} for text in arrays["rle"]]
    masks = [coco_mask.decode(one) for one in rle]
    rows, columns = np.arange(768) * height // 768, np.arange(1024) * width // 1024
    enlarged = [mask[rows][:, columns] for mask in masks]
    assert np.abs(mask_center_points(enlarged) - arrays["centroids_1024"]).max() <= 2


def test_random_point_is_the_numbered_pixel():
    mask = np.zeros((5, 6), dtype=np.uint8)
    mask[1, 2], mask[3, 0], mask[3, 5] = 1, 1, 1
    points = mask_random_points([mask] * 4, [0.0, 0.34, 0.67, 1 - 1e-17])
    assert points.tolist() == [[2, 1], [0, 3], [5, 3], [5, 3]]


def test_box_center():
    assert box_center_points(np.array([[0, 10, 5, 30.0]], dtype=np.float32)).tolist() == [[2.5, 20]]
    assert box_center_points(np.zeros((0, 4))).shape == (0, 2)


def test_empty_masks_are_refused():
    empty = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="empty"):
        mask_center_points([empty])
    with pytest.raises(ValueError, match="empty"):
        mask_random_points([empty], [0.5])
    assert mask_center_points([]).shape == (0, 2)
