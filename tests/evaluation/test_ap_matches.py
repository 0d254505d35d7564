"""Matching one to one, as COCO's rules have it, in cases worked out by hand; the rest is compared with pycocotools."""

import numpy as np

from edge_sam.evaluation.ap_matches import ImageOfCategory, match_category


def image(iou, areas, crowd=None, mask_areas=None, position=0, **options):
    iou = np.array(iou, float)
    masks, objects = iou.shape
    return ImageOfCategory(
        position,
        np.linspace(0.9, 0.5, masks),
        np.full(masks, 5000) if mask_areas is None else np.array(mask_areas),
        iou if iou.size else None,
        np.array(areas, float),
        np.zeros(objects, bool) if crowd is None else np.array(crowd),
        **options,
    )


def test_an_object_is_found_once_by_the_best_scored_mask():
    matches = match_category([image([[0.7, 0.6], [0.8, 0.0], [0.9, 0.62]], [5000, 5000])], 1)
    # The third resembles the first object most, which is taken, and takes the second where 0.6 is enough.
    assert matches.right[0, 0].tolist() == [True, False, True]
    assert matches.right[0, 2].tolist() == [True, False, True]
    assert matches.right[0, 3].tolist() == [True, False, False]
    assert matches.right[0, 6].tolist() == [False, True, False]
    assert not matches.ignored[0].any() and matches.objects[:, 0].tolist() == [2, 0, 2, 0]


def test_iou_as_large_as_the_threshold_is_enough():
    assert match_category([image([[0.6], [1.0]], [5000])], 1).right[0, 2].tolist() == [True, False]


def test_a_crowd_takes_any_number_and_an_object_comes_first():
    matches = match_category([image([[0.9, 0.6], [0.9, 0.0], [0.9, 0.0], [0.3, 0.0]], [9e4, 5000], [True, False])], 1)
    assert matches.right[0, 0].tolist() == [True, False, False, False]
    assert matches.ignored[0, 0].tolist() == [False, True, True, False]
    assert matches.objects[0, 0] == 1


def test_masks_of_other_sizes_do_not_count():
    matches = match_category([image([[0.9], [0.0], [0.0]], [500], mask_areas=[500, 500, 50_000])], 1)
    small, medium, large = 1, 2, 3
    assert matches.right[small, 0].tolist() == [True, False, False]
    assert matches.ignored[small, 0].tolist() == [False, False, True]
    assert matches.ignored[medium, 0].tolist() == [True, True, True]
    assert matches.ignored[large, 0].tolist() == [True, True, False]


def test_what_is_not_annotated_throughout_makes_no_mistakes():
    sure, unsure = (
        match_category([image([[0.9], [0.1]], [5000], exhaustive=exhaustive)], 1) for exhaustive in (True, False)
    )
    assert sure.ignored[0, 0].tolist() == [False, False] and unsure.ignored[0, 0].tolist() == [False, True]


def test_masks_of_all_images_are_ranked_together_equal_ones_in_order():
    first = image([[0.9], [0.9]], [5000])
    second = image(np.zeros((3, 0)), [], position=2)
    matches = match_category([first, second], 4)
    assert matches.image.tolist() == [0, 2, 2, 0, 2] and matches.objects.shape == (4, 4)
    assert matches.right[0, 0].tolist() == [True, False, False, False, False]
    assert match_category([], 2).right.shape == (4, 10, 0)
