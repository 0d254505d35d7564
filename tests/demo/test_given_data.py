import json
from pathlib import Path
from shutil import copyfile

import pytest
from PIL import Image, ImageOps

from edge_sam.demo.given_data import check_data, expect_unseen
from edge_sam.errors import EdgeSamError
from tests.synthetic import write_sa1b


def empty_annotations(root: Path, split: str) -> None:
    for path in (root / "annotations" / split).iterdir():
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "annotations": []}))


def test_counts_the_first_images_and_tells_other_masks(tmp_path):
    root = write_sa1b(tmp_path, "train", 5)
    found = check_data(root, "train", 3, 3)
    assert list(found.pictures) == ["sa_0_000", "sa_0_001", "sa_0_002"]
    assert check_data(root, "train", 3, 3) == found
    file = root / "annotations" / "train" / "sa_0_001.json"
    file.write_text(file.read_text().replace('"id": 0', '"id": 77'))
    assert check_data(root, "train", 3, 3).sha256 != found.sha256


def test_another_picture_under_the_same_name_is_told(tmp_path):
    root = write_sa1b(tmp_path, "train", 3)
    found = check_data(root, "train", 3, 3)
    file = root / "images" / "train" / "sa_0_001.jpg"
    with Image.open(file) as picture:
        mirrored = ImageOps.mirror(picture)
    mirrored.save(file)
    assert check_data(root, "train", 3, 3).sha256 != found.sha256


@pytest.mark.parametrize("images", [39, 40])
def test_as_many_broken_images_as_a_run_bears_are_borne(tmp_path, images):
    root = write_sa1b(tmp_path, "val", images, size=(96, 128))
    folder = root / "images" / "val"
    (folder / "sa_0_001.jpg").write_bytes(b"no image")
    with Image.open(folder / "sa_0_002.jpg") as picture:
        cut = picture.crop((0, 0, 20, 20))
    cut.save(folder / "sa_0_002.jpg")
    if images == 40:
        found = check_data(root, "val", images, 1)
        assert len(found.pictures) == 38
        assert check_data(root, "val", images, 1) == found
        return
    with pytest.raises(EdgeSamError, match=r"2 of 39 images of the val split are broken, more than 5%") as error:
        check_data(root, "val", images, 1)
    assert "sa_0_001: image cannot be decoded" in str(error.value)
    assert "sa_0_002: image is 20 x 20 pixels, its annotation file speaks of 128 x 96" in str(error.value)


def test_images_in_both_splits_are_told(tmp_path):
    root = write_sa1b(write_sa1b(tmp_path, "train", 3), "val", 3, seed=1)
    train = check_data(root, "train", 3, 3)
    for kind, ending in (("images", "jpg"), ("annotations", "json")):
        (root / kind / "val" / f"sa_1_001.{ending}").rename(root / kind / "val" / f"sa_0_001.{ending}")
    expect_unseen(root, train, check_data(root, "val", 3, 1))  # the same name, another picture
    for kind, ending in (("images", "jpg"), ("annotations", "json")):
        folder = root / kind
        copyfile(folder / "train" / f"sa_0_001.{ending}", folder / "val" / f"sa_1_002.{ending}")
    with pytest.raises(EdgeSamError, match=r"1 of 3 images .* too.*: sa_1_002 of val is sa_0_001 of train$"):
        expect_unseen(root, train, check_data(root, "val", 3, 1))


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
