import hashlib

import numpy as np
import pytest

from edge_sam.synthesis.scene import FEWEST, MOST, draw_scene

PINNED = {  # (seed, index, size): hash of the picture, hash of the masks, JPEG quality
    (0, 0, 256): ("634a62db17f3a880", "27a904083a3184c6", 90),
    (0, 1, 512): ("0e59f6a8fa5bc154", "590844abb7a39530", 59),
    (5, 2, 320): ("754115aa1c863aa6", "855f6b6d89201aa8", 69),
    (7, 3, 256): ("c7a35dd8ccce9497", "388bb9cc35449054", 92),
    (1, 4, 384): ("36eb103454ca2cc9", "42d3bc1939dcf45d", 47),
    (2, 5, 256): ("de45a9f72616380b", "f7f43acd4811ee61", 59),
}


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(11, index, 256) for index in range(24)]


@pytest.mark.parametrize("key", PINNED)
def test_the_pixels_of_a_seed_never_change(key):
    scene = draw_scene(*key)
    assert hashlib.sha256(scene.image.tobytes()).hexdigest()[:16] == PINNED[key][0]
    assert hashlib.sha256(np.packbits(scene.masks).tobytes()).hexdigest()[:16] == PINNED[key][1]
    assert scene.quality == PINNED[key][2]


def test_seed_index_and_size_all_matter():
    pictures = [draw_scene(*key).image.tobytes() for key in ((0, 0, 192), (1, 0, 192), (0, 1, 192), (0, 0, 256))]
    assert len(set(pictures)) == 4


def test_pictures_have_their_size_and_several_aspects(scenes):
    assert {max(scene.image.shape[:2]) for scene in scenes} == {256}
    assert len({scene.image.shape for scene in scenes}) >= 4
    assert all(scene.masks.shape[1:] == scene.image.shape[:2] for scene in scenes)
    assert all(40 <= scene.quality <= 95 for scene in scenes)


def test_there_are_ten_to_sixty_masks_none_too_small(scenes):
    for scene in scenes:
        assert FEWEST == 10 <= len(scene.masks) <= MOST == 60
        assert scene.masks.mean((1, 2)).min() >= 0.0008
        for mask in scene.masks:
            assert min(np.ptp(np.flatnonzero(mask.any(axis))) for axis in (0, 1)) + 1 >= 6


def test_masks_are_nested_or_apart_and_no_two_are_the_same(scenes):
    nested = 0
    for scene in scenes:
        flat = scene.masks.reshape(len(scene.masks), -1).astype(np.float32)
        areas, common = flat.sum(1), flat @ flat.T
        smaller = np.minimum(areas[:, None], areas[None])
        assert ((common == 0) | (common == smaller)).all()
        union = areas[:, None] + areas[None] - common
        iou = (common / union)[~np.eye(len(flat), dtype=bool)]
        assert iou.max() < 0.999
        nested += bool(((common == smaller) & ~np.eye(len(flat), dtype=bool)).any())
    assert nested > len(scenes) / 2, "a point is ambiguous in most pictures"


def test_sizes_of_masks_spread_over_orders_of_magnitude(scenes):
    areas = np.concatenate([scene.masks.mean((1, 2)) for scene in scenes])
    low, middle, high = np.percentile(areas, [10, 50, 90])
    assert low < 0.004 and 0.006 < middle < 0.04 and high > 0.08


def test_masks_follow_edges_of_the_picture(scenes):
    """Colours change more across the borders of masks than elsewhere."""
    ratios = []
    for scene in scenes:
        changes = np.abs(np.diff(scene.image.astype(int), axis=1)).sum(2)
        border = (np.diff(scene.masks.astype(np.int8), axis=2) != 0).any(0)
        ratios.append(changes[border].mean() / max(changes[~border].mean(), 1.0))
    assert np.median(ratios) > 1.8


def test_the_smallest_size_works():
    assert len(draw_scene(2, 0, 128).masks) >= FEWEST
