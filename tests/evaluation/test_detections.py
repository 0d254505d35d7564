"""Boxes of a detector's file go to their images; files of something else are refused and say why."""

import json

import numpy as np
import pytest

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.detections import AnnotatedBoxes, DetectedBoxes
from tests.synthetic_coco import COCO_FILE, read_tree, write_coco, write_tree


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, 4)


@pytest.fixture
def dataset(root):
    return CocoDataset(root, "coco", 256, annotated_only=False)


def box(image=101, category=1, bbox=(10, 20, 30, 40), score=0.5, **keys):
    return {"image_id": image, "category_id": category, "bbox": list(bbox), "score": score} | keys


def write(root, entries):
    file = root / "boxes.json"
    file.write_text(json.dumps(entries))
    return file


def test_boxes_go_to_their_images_best_first(root, dataset):
    entries = [
        box(103, 3, (1, 2, 3.5, 4), 0.25),
        box(101, 90, (5, 6, 7, 8), 0.1, segmentation={"size": [1, 1], "counts": "01"}),
        box(103, 1, (2, 2, 3, 4), 0.5),
        box(103, 90, (3, 2, 3, 4), 0.25),
    ]
    source = DetectedBoxes(write(root, entries), dataset)
    third, refusals = source.of(2)
    assert third.boxes.tolist() == [[2, 2, 5, 6], [1, 2, 4.5, 6], [3, 2, 6, 6]] and not refusals
    assert third.scores.tolist() == [0.5, 0.25, 0.25] and third.categories.tolist() == [1, 3, 90]
    assert [len(source.of(index)[0]) for index in range(4)] == [1, 0, 3, 0]
    assert "boxes.json (sha256 " in source.name


def test_boxes_of_images_that_are_not_used_are_left_out(root):
    some = CocoDataset(root, "coco", 256, 2)
    entries = [box(101), box(104), box(103), box(104), box(102, score=0.75)]
    source = DetectedBoxes(write(root, entries), some)
    assert source.unused == ((103, 1), (104, 2)) and AnnotatedBoxes(some).unused == ()
    assert source.unused_without({0, 1}) == source.unused
    assert source.unused_without({0}) == ((102, 1), *source.unused)
    assert [source.of(index)[0].scores.tolist() for index in range(2)] == [[0.5], [0.75]]
    with pytest.raises(EdgeSamError, match="no box of the 2 images that are used"):
        DetectedBoxes(write(root, [box(103)]), some)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            box(7),
            r"1 of 2 boxes have a image_id that .*val2017\.json does not know, e\.g\. 7 .*another data set",
        ),
        (box("101"), "e\\.g\\. '101'"),
        (box(category=2), r"have a category_id that .* does not know, e\.g\. 2 \(there: 1, 3, 90"),
        ({"image_id": 101, "category_id": 1, "score": 0.5}, "1 of 2 boxes are not four numbers .* None with score 0.5"),
        (box(bbox=(1, 2, 3)), r"e\.g\. \[1, 2, 3\]"),
        (box(bbox=(1, 2, -3, 4)), r"\[1, 2, -3, 4\]"),
        (box(score=float("nan")), "score nan of image 101"),
        (box(score=None), "score None"),
        (box(bbox=(1, 2, float("inf"), 4)), "inf"),
        (
            box(bbox=(150, 100, 190, 140)),
            r"middle of 1 of 2 boxes is out of .* in 200 x 150 pixels of image sa_0_000",
        ),
        (7, "is not of COCO's results format"),
    ],
)
def test_wrong_boxes_are_errors(root, dataset, entry, said):
    with pytest.raises(EdgeSamError, match=said):
        DetectedBoxes(write(root, [box(), entry]), dataset)


def test_no_results_file(root, dataset):
    with pytest.raises(EdgeSamError, match="cannot be read"):
        DetectedBoxes(root / "absent.json", dataset)
    (root / "boxes.json").write_text("{")
    with pytest.raises(EdgeSamError, match="is not JSON"):
        DetectedBoxes(root / "boxes.json", dataset)
    for content in ({"annotations": []}, []):
        with pytest.raises(EdgeSamError, match="is not of COCO's results format"):
            DetectedBoxes(write(root, content), dataset)


def test_a_few_boxes_out_of_their_pictures_are_told_by_their_numbers(root, dataset):
    inside = [box(bbox=(10, 20, 30, number), score=0.5) for number in range(19)]
    astray = box(bbox=(190, 100, 21, 10), score=0.9)
    first, _ = DetectedBoxes(write(root, [*inside, astray]), dataset).of(0)
    assert first.strayed((150, 200)).tolist() == [0], "its middle is half a pixel to the right of the picture"
    assert first.boxes[0].tolist() == [190, 100, 211, 110]
    assert first.strayed((150, 201)).tolist() == []
    with pytest.raises(EdgeSamError, match=r"1 of 19 boxes is out of .* \[190\.0, 100\.0, 21\.0, 10\.0\] in 200 x 150"):
        DetectedBoxes(write(root, [*inside[1:], astray]), dataset)


def test_annotated_boxes_are_those_of_single_objects(root):
    tree = read_tree(root / COCO_FILE)
    tree["annotations"][0]["bbox"] = [3, 3, 0, 0]
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    source = AnnotatedBoxes(CocoDataset(root, "coco", 256, annotated_only=False))
    boxes, (refusal,) = source.of(0)
    entries = [one for one in tree["annotations"][1:] if one["image_id"] == 101 and not one["iscrowd"]]
    left, top, width, height = np.array([one["bbox"] for one in entries]).T
    assert np.array_equal(boxes.boxes, np.stack([left, top, left + width, top + height], axis=1))
    assert boxes.categories.tolist() == [one["category_id"] for one in entries]
    assert boxes.scores.tolist() == [1.0] * len(entries)
    assert "annotation 1: bbox" in refusal.reason
    assert len(source.of(3)[0]) == 0
