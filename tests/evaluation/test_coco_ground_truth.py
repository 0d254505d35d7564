"""What of an annotation file is counted against, and what of it cannot be: told, never passed over."""

import json

import pytest
from pycocotools import mask as mask_utils

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.coco_ground_truth import categories_looked_for, expect_countable, ground_truth_masks
from tests.evaluation.test_coco_scoring import ap, as_found
from tests.synthetic_coco import COCO_FILE, LVIS_FILE, read_tree, write_coco, write_lvis, write_tree


def test_what_cannot_be_counted_is_told(tmp_path):
    root = write_coco(tmp_path, 3)
    tree = read_tree(root / COCO_FILE)
    tree["annotations"][0]["segmentation"] = {"size": [9, 9], "counts": "1"}
    tree["annotations"][1]["segmentation"] = [[10.1, 5.1, 10.1, 5.1, 10.1, 5.1]]
    tree["annotations"][2] |= {"bbox": [0, 0, 0, 0], "area": None}
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    dataset = CocoDataset(root, "coco", 256)
    truth = ground_truth_masks(dataset, range(2))
    (refusal,) = truth.refusals
    assert "annotation 1: run lengths are of size [9, 9]" in refusal.reason and refusal.kind == "annotation"
    assert truth.empty == (("sa_0_000", 2),)
    assert truth.objects + truth.crowds == len(tree["annotations"]) - 1
    assert truth.tree["annotations"][1]["area"] == truth.tree["annotations"][1]["pixels"] > 0
    assert ap(truth, as_found(truth), "coco")["AP"] < 1.0, "nothing matches an empty mask"


def test_annotations_without_an_id_are_told_apart(tmp_path):
    root = write_coco(tmp_path, 2)
    tree = read_tree(root / COCO_FILE)
    for annotation in tree["annotations"][:2]:
        annotation["segmentation"] = {"size": [9, 9], "counts": "1"}
        del annotation["id"]
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    dataset = CocoDataset(root, "coco", 256)
    refusals = ground_truth_masks(dataset, [0]).refusals
    assert [refusal.reason.split(":")[0] for refusal in refusals] == [f"annotation at position {at}" for at in (0, 1)]
    assert set(dataset.single_objects(0)[1]) <= set(refusals), "by the same name, so that they count once"


@pytest.mark.parametrize(
    ("style", "change", "said"),
    [
        (
            "coco",
            lambda tree: tree["annotations"][0].update(category_id=2),
            "annotation 1 is of category 2, which",
        ),
        ("coco", lambda tree: tree.pop("categories"), "has no categories"),
        ("lvis", lambda tree: tree["images"][0].pop("neg_category_ids"), "image sa_0_000 lacks neg_category_ids"),
        ("lvis", lambda tree: tree["categories"][0].pop("frequency"), "a category has no frequency"),
    ],
)
def test_files_that_cannot_be_counted_are_errors(tmp_path, style, change, said):
    root = write_coco(tmp_path, 3) if style == "coco" else write_lvis(tmp_path, 3)
    file = root / (COCO_FILE if style == "coco" else LVIS_FILE)
    tree = read_tree(file)
    change(tree)
    file.write_text(json.dumps(tree))
    with pytest.raises(EdgeSamError, match=said):
        expect_countable(CocoDataset(root, style, 256))


def test_masks_without_a_pixel_are_objects_however_they_are_written(tmp_path):
    root = write_coco(tmp_path, 2)
    tree = read_tree(root / COCO_FILE)
    height, width = (tree["images"][0][side] for side in ("height", "width"))
    nothing = {"size": [height, width], "counts": [height * width]}
    tree["annotations"][0]["segmentation"] = nothing
    tree["annotations"][1]["segmentation"] = mask_utils.frPyObjects(nothing, height, width)
    tree["annotations"][1]["segmentation"]["counts"] = tree["annotations"][1]["segmentation"]["counts"].decode()
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    truth = ground_truth_masks(CocoDataset(root, "coco", 256), [0])
    assert truth.empty == (("sa_0_000", 1), ("sa_0_000", 2)) and not truth.refusals
    assert truth.objects + truth.crowds == len(tree["annotations"])
    assert [mask_utils.area(one["segmentation"]) for one in truth.tree["annotations"][:2]] == [0, 0]


def test_the_hash_is_of_boxes_too(tmp_path):
    """With boxes of the ground truth they decide the numbers."""
    root = write_coco(tmp_path, 2)
    tree = read_tree(root / COCO_FILE)
    hashes = []
    for shift in (0, 0, 1):
        tree["annotations"][0]["bbox"][0] += shift
        write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
        hashes.append(ground_truth_masks(CocoDataset(root, "coco", 256), [0]).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_lvis_counts_what_is_there_or_was_looked_for(tmp_path):
    root = write_lvis(tmp_path, 3)
    tree = read_tree(root / LVIS_FILE)
    tree["images"][0]["neg_category_ids"] = [90, 7]
    tree["annotations"] = [one for one in tree["annotations"] if one["category_id"] != 90]
    write_tree(root / LVIS_FILE, tree["images"], tree["annotations"])
    dataset = CocoDataset(root, "lvis", 256, annotated_only=False)
    there = [
        {one["category_id"] for one in tree["annotations"] if one["image_id"] == number} for number in (101, 102, 103)
    ]
    assert [categories_looked_for(dataset, index) for index in range(3)] == [there[0] | {90, 7}, *there[1:]]
    assert categories_looked_for(CocoDataset(root, "coco", 256), 0) is None
