import shutil
from dataclasses import replace

import pytest
import torch

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.run_length import decode_crop
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.evaluation.instances import EvaluationDataset, RefusedImage, load_batches
from edge_sam.evaluation.protocols import EvaluationProtocol, guide_suite
from tests.evaluation import naive
from tests.synthetic_coco import write_coco


def test_item_holds_what_its_protocols_need(val_split):
    protocols = [*guide_suite("exact"), EvaluationProtocol("point", "mask-rand", ground_truth="edgesam")]
    image = EvaluationDataset(val_split, protocols)[2]
    sample = val_split[2]
    assert image.image_id == val_split.ids[2]
    assert torch.equal(image.pixels, sample.image)
    assert set(image.truths) == {"exact", "edgesam"}
    assert set(image.truths["exact"].points) == {"mask-center"}
    assert set(image.truths["edgesam"].points) == {"mask-rand"}
    assert image.first_points("exact", "point").tolist() == sample.points[:, 0].tolist()
    middle = sample.boxes.view(-1, 2, 2).mean(dim=1)
    torch.testing.assert_close(torch.from_numpy(image.first_points("exact", "box-center")), middle)
    assert len(image.boxes) == len(sample.annotations) == len(image.truths["exact"].masks)
    assert image.names == tuple(annotation.name for annotation in sample.annotations)
    assert image.areas.tolist() == [annotation.decode().sum() for annotation in sample.annotations]
    for mask, annotation in zip(image.truths["exact"].masks, sample.annotations, strict=True):
        assert (naive.whole(mask, image.original_size) == annotation.decode()).all()


def test_hash_is_of_the_instances_that_are_used(val_split):
    whole, some, again = (EvaluationDataset(val_split, guide_suite(), count)[0].sha256 for count in (None, 2, None))
    assert whole == again != some
    assert whole == EvaluationDataset(val_split, [EvaluationProtocol(ground_truth="edgesam")])[0].sha256


def test_only_chosen_masks_are_decoded_and_only_asked_points_made(tmp_path, monkeypatch):
    dataset = CocoDataset(write_coco(tmp_path, 2), "coco", 256)
    decoded = []
    monkeypatch.setattr(
        "edge_sam.data.annotations.decode_crop", lambda *mask: decoded.append(mask) or decode_crop(*mask)
    )
    boxes, points = EvaluationProtocol("box"), EvaluationProtocol("point", "point")
    assert len(dataset[0].annotations) > 1
    assert "point" not in EvaluationDataset(dataset, [boxes], 1)[0].points and len(decoded) == 1
    asked = EvaluationDataset(dataset, [points, replace(points, point_from="mask-center")], 1)[0]
    assert len(decoded) == 3, "the mask, and the same for its point"
    innermost = asked.first_points("exact", "mask-center")
    assert asked.first_points("exact", "point").tolist() == innermost.tolist() and len(innermost) == 1


def test_first_instances_of_the_file(val_split):
    protocols = guide_suite()
    whole, some = (EvaluationDataset(val_split, protocols, count)[0] for count in (None, 2))
    assert len(some.boxes) == 2 < len(whole.boxes)
    assert some.boxes.tolist() == whole.boxes[:2].tolist()
    assert some.areas.tolist() == whole.areas[:2].tolist()


def test_broken_image_is_refused_and_its_neighbour_not_counted_twice(photographs, tmp_path):
    root = shutil.copytree(photographs, tmp_path / "copy")
    broken = sorted((root / "images" / "val").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:300])
    images = EvaluationDataset(Sa1bDataset(root, "val", 256, keep_annotations=True), guide_suite())
    items = [images[index] for index in range(len(images))]
    assert [isinstance(item, RefusedImage) for item in items] == [index == 3 for index in range(7)]
    assert items[3].refusals[0].image_id == broken.stem


def test_whole_data_set_broken_is_refused_image_by_image(photographs, tmp_path):
    root = shutil.copytree(photographs, tmp_path / "copy")
    for path in (root / "images" / "val").iterdir():
        path.write_bytes(b"no image")
    images = EvaluationDataset(Sa1bDataset(root, "val", 256, keep_annotations=True), guide_suite())
    assert isinstance(images[0], RefusedImage)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_every_number_of_processes_reads_the_same_batches(val_split, world_size):
    images = EvaluationDataset(val_split, guide_suite())
    batches = [
        tuple(image.index for image in batch)
        for rank in range(world_size)
        for batch in load_batches(images, 3, rank, world_size, num_workers=0)
    ]
    assert sorted(batches) == [(0, 1, 2), (3, 4, 5), (6,)]


def test_data_set_without_masks_and_mixed_seeds_are_refused(photographs, val_split):
    with pytest.raises(ValueError, match="keeps its annotations"):
        EvaluationDataset(Sa1bDataset(photographs, "val", 256), guide_suite())
    with pytest.raises(ValueError, match="seed"):
        EvaluationDataset(val_split, [EvaluationProtocol(seed=0), EvaluationProtocol(seed=1)])
