"""Masks in views: exact areas, tight boxes, points on the mask; and what is left out."""

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from edge_sam.data.annotations import Annotation
from edge_sam.data.augmentation import View
from edge_sam.data.visible_masks import visible_masks

SIZE = (60, 80)
SIDE = 64


def annotate(mask: np.ndarray) -> Annotation:
    rle = mask_utils.encode(np.asfortranarray(mask, np.uint8))
    x, y, width, height = mask_utils.toBbox(rle)
    return Annotation(
        segmentation={"size": list(mask.shape), "counts": rle["counts"]},
        size=mask.shape,
        box_xyxy=np.array([x, y, x + width, y + height]),
        point=np.array([x, y]),
        area=float(mask.sum()),
    )


def rectangle(left: int, top: int, right: int, bottom: int) -> Annotation:
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = 1
    return annotate(mask)


def only(annotation: Annotation, view: View):
    (found,) = visible_masks([annotation], view, [0], None)
    return found


def covered_by_rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Coverage of a rectangle given in input pixels."""
    cells = np.arange(SIDE // 4) * 4
    across, down = (
        (np.minimum(cells + 4, high) - np.maximum(cells, low)).clip(0) / 4
        for low, high in ((left, right), (top, bottom))
    )
    return np.outer(down, across) * 255


WHOLE = View(0, 0, 80, 60, (48, 64))
CROP = View(10, 5, 40, 50, (64, 51))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("view", [WHOLE, CROP, View(10, 5, 40, 50, (40, 32)), View(7, 0, 61, 60, (63, 64))])
def test_rectangle_lands_where_it_should(view, mirrored):
    view = View(view.left, view.top, view.width, view.height, view.size, mirrored)
    found = only(rectangle(15, 8, 44, 33), view)
    left, right = 15 - view.left, 44 - view.left
    if mirrored:
        left, right = view.width - right, view.width - left
    assert found.box().tolist() == [left, 8 - view.top, right, 33 - view.top]
    down, across = view.size[0] / view.height, view.size[1] / view.width
    expected = covered_by_rectangle(left * across, (8 - view.top) * down, right * across, (33 - view.top) * down)
    np.testing.assert_allclose(found.coverage(SIDE), expected, atol=0.51)


def test_coverage_of_any_mask_keeps_its_area_and_is_the_mean_of_blocks():
    mask = np.random.default_rng(0).random(SIZE) < 0.4
    covered = only(annotate(mask), View(0, 0, 80, 60, (60, 80))).coverage(80)
    blocks = mask.reshape(15, 4, 20, 4).mean((1, 3))
    np.testing.assert_allclose(covered[:15], blocks * 255, atol=0.51)
    assert not covered[15:].any()
    assert only(annotate(mask), WHOLE).coverage(SIDE).sum() / 255 * 16 == pytest.approx(mask.sum() * 0.8**2, rel=0.01)


@pytest.mark.parametrize("size", [(45, 61), (47, 63), (48, 64)])
def test_whole_picture_is_covered_whole_up_to_the_padding(size):
    covered = only(rectangle(0, 0, 80, 60), View(0, 0, 80, 60, size)).coverage(SIDE)
    assert (covered[:12] == 255).all()  # the border's pixels, too, of which a part is padding
    assert not covered[12:].any()


def test_box_is_the_annotations_own_unless_the_view_is_a_crop():
    annotation = rectangle(20, 10, 40, 30)
    annotation.box_xyxy[:] = [19, 9, 42, 33]
    assert only(annotation, WHOLE).box().tolist() == [19, 9, 42, 33]
    assert only(annotation, View(0, 0, 80, 60, (48, 64), mirrored=True)).box().tolist() == [38, 9, 61, 33]
    assert only(annotation, CROP).box().tolist() == [10, 5, 30, 25]


@pytest.mark.parametrize("box_end", [0, 1])
def test_every_view_has_the_box_that_its_own_file_would_have(box_end):
    """Boxes of SA-1B end at the mask's last pixel, COCO's beyond it."""
    annotation = rectangle(5, 10, 25, 30)
    annotation.box_xyxy[:] = [5, 10, 24 + box_end, 29 + box_end]
    views = {
        View(0, 0, 80, 60, (48, 64)): [5, 10, 24, 29],
        View(0, 0, 80, 60, (48, 64), mirrored=True): [55, 10, 74, 29],
        View(3, 4, 40, 50, (64, 51)): [2, 6, 21, 25],
        View(3, 4, 40, 50, (64, 51), mirrored=True): [18, 6, 37, 25],
        View(10, 4, 40, 20, (32, 64)): [0, 6, 14, 19],  # a crop that cuts
    }
    for view, (left, top, right, bottom) in views.items():
        assert only(annotation, view).box().tolist() == [left, top, right + box_end, bottom + box_end]


def test_points_are_pixels_of_the_mask_in_view():
    mask = np.random.default_rng(1).random(SIZE) < 0.3
    for mirrored in (False, True):
        view = View(30, 20, 40, 30, (48, 64), mirrored)
        seen = mask[20:50, 30:70][:, :: -1 if mirrored else 1]
        found = only(annotate(mask), view)
        points = {tuple(found.random_point(noise)) for noise in np.linspace(0, 1, 2000, endpoint=False)}
        assert points == {(column, row) for row, column in zip(*np.nonzero(seen), strict=True)}


def test_what_a_crop_leaves_too_little_of_is_left_out():
    inside, mostly_outside, outside = rectangle(10, 5, 30, 25), rectangle(47, 5, 67, 25), rectangle(60, 5, 79, 25)
    found = visible_masks([outside, mostly_outside, inside], CROP, [0, 1, 2], None)
    assert [mask.annotation for mask in found] == [inside]
    assert len(visible_masks([rectangle(46, 5, 66, 25)], CROP, [0], None)) == 1  # a fifth of it is in view
    specks = [rectangle(20, 20, 24, 26), rectangle(20, 20, 25, 25)]
    assert [mask.annotation for mask in visible_masks(specks, WHOLE, [0, 1], None)] == [specks[1]]  # 25 x 0.8^2 = 16


def test_only_so_many_are_decoded_and_their_order_stays():
    annotations = [rectangle(10 * number, 5, 10 * number + 9, 25) for number in range(6)]
    annotations[0].segmentation["counts"] = None  # decoding this one would fail
    found = visible_masks(annotations, WHOLE, [4, 2, 0], 2)
    assert [mask.annotation for mask in found] == [annotations[2], annotations[4]]
