import json
from pathlib import Path

import pytest

from edge_sam.demo.given_data import check_data
from edge_sam.errors import EdgeSamError
from tests.synthetic import write_sa1b


def empty_annotations(root: Path, split: str) -> None:
    for path in (root / "annotations" / split).iterdir():
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "annotations": []}))


def test_counts_the_first_images_and_tells_other_masks(tmp_path):
    root = write_sa1b(tmp_path, "train", 5)
    found = check_data(root, "train", 3, 3)
    assert found.usable == 3
    assert check_data(root, "train", 3, 3) == found
    file = root / "annotations" / "train" / "sa_0_001.json"
    file.write_text(file.read_text().replace('"id": 0', '"id": 77'))
    assert check_data(root, "train", 3, 3).sha256 != found.sha256


def test_a_missing_split_is_named(tmp_path):
    root = write_sa1b(tmp_path, "train", 1)
    with pytest.raises(EdgeSamError, match=r"images/val: no such folder: .* measures on a val split"):
        check_data(root, "val", 3, 1)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(EdgeSamError, match="nowhere: no such folder"):
        check_data(tmp_path / "nowhere", "train", 3, 1)
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "annotations" / "train").mkdir(parents=True)
    with pytest.raises(EdgeSamError, match=r"images/train: holds no image"):
        check_data(tmp_path, "train", 3, 1)


def test_images_without_masks_are_told(tmp_path):
    root = write_sa1b(tmp_path, "train", 3)
    empty_annotations(root, "train")
    with pytest.raises(EdgeSamError, match=r"0 usable images .*sa_0_000: .* empty list .*needs at least 1"):
        check_data(root, "train", 3, 1)


def test_fewer_images_than_a_batch_are_told(tmp_path):
    root = write_sa1b(tmp_path, "train", 4)
    (root / "annotations" / "train" / "sa_0_002.json").unlink()
    with pytest.raises(EdgeSamError, match=r"3 usable images in the train split \(1 have no annotation .*at least 8"):
        check_data(root, "train", 100, 8)


def test_an_annotation_outside_of_its_image_is_told(tmp_path):
    root = write_sa1b(tmp_path, "train", 1)
    file = root / "annotations" / "train" / "sa_0_000.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["bbox"][0] += 5000
    file.write_text(json.dumps(content))
    with pytest.raises(EdgeSamError, match=r"bbox .* is outside of the picture"):
        check_data(root, "train", 1, 1)
