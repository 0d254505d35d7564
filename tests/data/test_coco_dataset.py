"""COCO and LVIS as they lie on disk: objects without crowds, points from masks, what is broken told or refused."""

import numpy as np
import pytest
import torch

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.run_length import decode_crop
from edge_sam.errors import EdgeSamError
from edge_sam.prompts.first_points import mask_center_points
from tests.synthetic_coco import COCO_FILE, LVIS_FILE, read_tree, write_coco, write_lvis, write_tree


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path, 4)


def rewrite(root, change, file=COCO_FILE):
    tree = read_tree(root / file)
    change(tree)
    write_tree(root / file, tree["images"], tree["annotations"])


def test_objects_are_those_of_the_file_but_crowds(coco):
    dataset = CocoDataset(coco, "coco", 256)
    tree = read_tree(coco / COCO_FILE)
    assert dataset.ids == ("sa_0_000", "sa_0_001", "sa_0_002") and len(dataset) == 3
    assert (dataset.unannotated, dataset.crowds) == (1, 3)
    assert dataset.image_numbers == {101, 102, 103, 104} and [one["id"] for one in dataset.categories] == [1, 3, 90]
    sample = dataset[1]
    entries = [entry for entry in tree["annotations"] if entry["image_id"] == 102 and not entry["iscrowd"]]
    assert (sample.image_id, sample.index, sample.side) == ("sa_0_001", 1, 256)
    assert sample.original_size == (150, 200) and sample.size == (192, 256) == tuple(sample.image.shape[1:])
    assert [annotation.segmentation for annotation in sample.annotations] == [one["segmentation"] for one in entries]
    left, top, width, height = np.array([entry["bbox"] for entry in entries]).T
    boxes = np.stack([left, top, left + width, top + height], axis=1) * 1.28
    assert torch.equal(sample.boxes, torch.from_numpy(boxes).float())
    masks = [annotation.decode() for annotation in sample.annotations]
    assert np.array_equal([one.first_point() for one in sample.annotations], mask_center_points(masks))
    assert sample.points.shape == (len(masks), 0, 2) and {one.point for one in sample.annotations} == {None}
    assert dataset.read_picture(1).size == (200, 150)
    assert [annotation.area for annotation in sample.annotations] == [mask.sum() for mask in masks]


def test_no_mask_is_decoded_before_it_is_needed(coco, monkeypatch):
    """Of images with many objects only the first are evaluated, and boxes ask for no mask."""
    decoded = []
    monkeypatch.setattr(
        "edge_sam.data.annotations.decode_crop", lambda *mask: decoded.append(mask) or decode_crop(*mask)
    )
    dataset = CocoDataset(coco, "coco", 256)
    sample = dataset[0]
    assert len(sample.annotations) > 1 and not dataset.single_objects(0)[1] and not decoded
    sample.annotations[0].first_point()
    assert len(decoded) == 1
    rewrite(coco, lambda tree: [entry.pop("bbox") for entry in tree["annotations"]])
    boxes = CocoDataset(coco, "coco", 256)[0].boxes
    assert torch.allclose(boxes, sample.boxes) and len(decoded) == 1 + len(boxes)


def test_images_without_objects_are_samples_without_prompts(coco):
    dataset = CocoDataset(coco, "coco", 256, annotated_only=False)
    assert len(dataset) == 4 and dataset.unannotated == 0
    sample = dataset[3]
    assert len(sample.annotations) == len(sample.boxes) == len(sample.points) == 0 and not sample.refusals


def test_the_first_images_by_name_annotated_or_not(coco):
    rewrite(coco, lambda tree: tree.update(annotations=[a for a in tree["annotations"] if a["image_id"] != 101]))
    dataset = CocoDataset(coco, "coco", 256, 2)
    assert dataset.ids == ("sa_0_001",) and dataset.unannotated == 1
    assert len(dataset.image_numbers) == 4
    with pytest.raises(EdgeSamError, match="number of samples is 0"):
        CocoDataset(coco, "coco", 256, 0)
    with pytest.raises(EdgeSamError, match="none of 1 chosen images has a single object"):
        CocoDataset(coco, "coco", 256, 1)


def test_lvis_pictures_are_found_by_url(tmp_path):
    write_lvis(tmp_path, 3)
    (tmp_path / "coco" / "train2017").mkdir()
    (tmp_path / "coco" / "val2017" / "sa_0_001.jpg").rename(tmp_path / "coco" / "train2017" / "sa_0_001.jpg")
    rewrite(
        tmp_path,
        lambda tree: tree["images"][1].update(coco_url="http://images.cocodataset.org/train2017/sa_0_001.jpg"),
        LVIS_FILE,
    )
    dataset = CocoDataset(tmp_path, "lvis", 256)
    assert dataset.ids == ("sa_0_000", "sa_0_001") and dataset.crowds == 0
    assert all(len(dataset[index].annotations) for index in range(2))
    with pytest.raises(EdgeSamError, match=r"lvis_v0\.5_val_cocofied"):
        CocoDataset(tmp_path, "cocofied_lvis", 256)
    (tmp_path / LVIS_FILE).rename(tmp_path / "lvis" / "lvis_v0.5_val_cocofied.json")
    assert len(CocoDataset(tmp_path, "cocofied_lvis", 256)) == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"segmentation": {"size": [200, 150], "counts": "1"}}, "run lengths are of size"),
        ({"segmentation": [[10.1, 5.1, 10.1, 5.1, 10.1, 5.1]]}, "mask is empty"),
        ({"bbox": [5, 5, 0, 10]}, "has no area"),
    ],
)
def test_broken_annotations_are_told_and_the_others_stay(coco, wrong, reason):
    before = CocoDataset(coco, "coco", 256)[0]
    rewrite(coco, lambda tree: tree["annotations"][0].update(wrong))
    sample = CocoDataset(coco, "coco", 256)[0]
    (refusal,) = sample.refusals
    assert (refusal.image_id, refusal.kind) == ("sa_0_000", "annotation")
    assert "annotation 1: " in refusal.reason and reason in refusal.reason
    assert len(sample.annotations) == len(sample.boxes) == len(before.annotations) - 1


def test_broken_images_are_refused_by_name(coco):
    dataset = CocoDataset(coco, "coco", 256)
    picture = coco / "coco" / "val2017" / "sa_0_000.jpg"
    content = picture.read_bytes()
    picture.write_bytes(content[:200])
    with pytest.raises(BrokenSample, match="cannot be decoded"):
        dataset[0]
    picture.unlink()
    with pytest.raises(BrokenSample, match=r"sa_0_000\.jpg cannot be read"):
        dataset[0]
    picture.write_bytes(content)
    rewrite(coco, lambda tree: tree["images"][0].update(width=199))
    with pytest.raises(BrokenSample, match="picture is 200 x 150 pixels, its entry speaks of 199 x 150"):
        CocoDataset(coco, "coco", 256)[0]
    rewrite(coco, lambda tree: [entry.update(segmentation=None) for entry in tree["annotations"]])
    with pytest.raises(BrokenSample, match="annotations is usable; the first: annotation"):
        CocoDataset(coco, "coco", 256)[1]


def test_a_wrong_folder_is_an_error_that_names_what_is_looked_for(coco, tmp_path):
    with pytest.raises(EdgeSamError, match=r"instances_val2017\.json: is not there.*--data-path"):
        CocoDataset(tmp_path / "nowhere", "coco", 256)
    for picture in (coco / "coco" / "val2017").iterdir():
        picture.unlink()
    with pytest.raises(EdgeSamError, match=r"lacks all 3 pictures, e\.g\. sa_0_000\.jpg"):
        CocoDataset(coco, "coco", 256)
    rewrite(coco, lambda tree: tree["images"][0].update(coco_url=None))
    with pytest.raises(EdgeSamError, match="the picture of image 101 is None"):
        (tmp_path / "lvis").mkdir()
        (coco / COCO_FILE).rename(tmp_path / LVIS_FILE)
        CocoDataset(tmp_path, "lvis", 256)


def test_categories_of_one_id_are_an_error(coco):
    file = coco / COCO_FILE
    file.write_text(file.read_text().replace('"id": 90', '"id": 3'))
    with pytest.raises(EdgeSamError, match=r"ids of its categories are no different whole numbers: \[1, 3, 3\]"):
        CocoDataset(coco, "coco", 256)


def test_real_instances(shared):
    dataset = CocoDataset(shared("realdata", "coco").parent, "coco", 128)
    assert (len(dataset), dataset.crowds, dataset.unannotated) == (80, 5, 0)
    sample = dataset[3]
    assert not sample.refusals and sample.boxes.max() <= 128
    height, width = sample.original_size
    for annotation in sample.annotations:
        column, row = annotation.first_point().astype(int)
        assert annotation.size == (height, width) and annotation.decode()[row, column]
