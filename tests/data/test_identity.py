import json
import shutil

import pytest

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from tests.synthetic import write_sa1b, write_tar
from tests.synthetic_coco import COCO_FILE, write_coco


def sa1b(root, number=-1) -> str:
    return Sa1bDataset(root, "val", 64, number).identity()


@pytest.fixture
def root(tmp_path):
    return write_sa1b(tmp_path / "data", "val", 3, size=(60, 80))


def test_a_copy_in_another_place_and_in_tars_is_the_same(root, tmp_path):
    assert sa1b(shutil.copytree(root, tmp_path / "elsewhere")) == sa1b(root)
    (tmp_path / "tars" / "val").mkdir(parents=True)
    write_tar(tmp_path / "tars" / "val" / "a.tar", root, "val")
    assert sa1b(tmp_path / "tars") == sa1b(root)


def test_other_images_annotations_or_pictures_are_another(root):
    found = [sa1b(root), sa1b(root, 2)]
    annotations = sorted((root / "annotations" / "val").iterdir())[0]
    tree = json.loads(annotations.read_text())
    tree["annotations"][0]["bbox"][0] = 9 - tree["annotations"][0]["bbox"][0] % 9  # as many letters, perhaps
    annotations.write_text(json.dumps(tree))
    found.append(sa1b(root))
    picture = sorted((root / "images" / "val").iterdir())[1]
    picture.write_bytes(picture.read_bytes() + b"\0")
    found.append(sa1b(root))
    assert len(set(found)) == 4


def test_of_coco_the_file_and_the_pictures_count(tmp_path):
    root = write_coco(tmp_path, 3, size=(60, 80))
    found = [CocoDataset(root, "coco", 64, number).identity() for number in (-1, 1)]
    tree = json.loads((root / COCO_FILE).read_text())
    tree["annotations"][0]["category_id"] = 90
    (root / COCO_FILE).write_text(json.dumps(tree))
    found.append(CocoDataset(root, "coco", 64).identity())
    next((root / "coco" / "val2017").iterdir()).unlink()
    found.append(CocoDataset(root, "coco", 64).identity())
    assert len(set(found)) == 4
