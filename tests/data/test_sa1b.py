"""Samples and batches: the same in every process, and broken images replaced and told."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from edge_sam.data.sa1b import Refusal, Sa1bDataset, Sample, collate
from edge_sam.data.sampler import ResumableSampler
from edge_sam.embeddings.images import TeacherImages
from edge_sam.errors import EdgeSamError
from tests.synthetic import write_sa1b

COUNT = 6


@pytest.fixture
def root(tmp_path) -> Path:
    return write_sa1b(tmp_path, "train", COUNT)


def annotation_file(root: Path, number: int) -> Path:
    return root / "annotations" / "train" / f"sa_0_{number:03d}.json"


def image_file(root: Path, number: int) -> Path:
    return root / "images" / "train" / f"sa_0_{number:03d}.jpg"


def change_annotation(root: Path, number: int, change) -> None:
    tree = json.loads(annotation_file(root, number).read_text())
    change(tree)
    annotation_file(root, number).write_text(json.dumps(tree))


def same(a: Sample, b: Sample) -> bool:
    tensors = all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("image", "boxes", "points", "noise"))
    return tensors and (a.image_id, a.index, a.size, a.refusals) == (b.image_id, b.index, b.size, b.refusals)


def test_sample(root):
    dataset = Sa1bDataset(root, "train", 128, clicks=3, keep_annotations=True)
    assert dataset.ids == tuple(f"sa_0_{number:03d}" for number in range(COUNT))
    sample = dataset[2]
    tree = json.loads(annotation_file(root, 2).read_text())
    boxes = np.array([entry["bbox"] for entry in tree["annotations"]])
    boxes[:, 2:] += boxes[:, :2]
    assert (sample.image_id, sample.index) == ("sa_0_002", 2)
    assert sample.image.shape == (3, 96, 128)
    assert sample.image.dtype == torch.uint8
    assert (sample.size, sample.original_size) == ((96, 128), (192, 256))
    np.testing.assert_allclose(sample.boxes, boxes / 2, atol=1e-4)
    np.testing.assert_allclose(sample.points, np.array([e["point_coords"] for e in tree["annotations"]]) / 2)
    assert sample.noise.shape == (len(boxes), 3)
    assert sample.boxes.dtype == sample.points.dtype == sample.noise.dtype == torch.float32
    assert sample.noise.min() >= 0 and sample.noise.max() < 1
    assert [annotation.area for annotation in sample.annotations] == [e["area"] for e in tree["annotations"]]
    assert sample.refusals == ()


def test_sample_depends_on_seed_epoch_and_name_alone(root):
    options = {"max_annotations": 2, "clicks": 2, "box_jitter": 0.1}
    dataset = Sa1bDataset(root, "train", 64, seed=3, **options)
    for number in (0, 2, 3):
        image_file(root, number).unlink()
    subset = Sa1bDataset(root, "train", 64, seed=3, **options)
    assert subset.ids == ("sa_0_001", "sa_0_004", "sa_0_005")
    a, b = dataset[(5, 4)], subset[(5, 1)]
    assert torch.equal(a.boxes, b.boxes) and torch.equal(a.noise, b.noise)
    assert same(a, dataset[(5, 4)])
    assert not torch.equal(a.noise, dataset[(6, 4)].noise)
    assert not torch.equal(a.noise, Sa1bDataset(root, "train", 64, seed=4, **options)[(5, 1)].noise)
    assert same(dataset[4], dataset[(0, 4)])


def test_global_generators_are_left_alone(root):
    dataset = Sa1bDataset(root, "train", 64, max_annotations=2, clicks=2, box_jitter=0.1)
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state()
    dataset[0]
    assert np.random.get_state()[1].tolist() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_drawn_annotations_are_distinct_and_in_order(root):
    dataset = Sa1bDataset(root, "train", 64, max_annotations=2, keep_annotations=True)
    everything = Sa1bDataset(root, "train", 64, keep_annotations=True)[0].boxes.tolist()
    drawn = set()
    for epoch in range(60):
        sample = dataset[(epoch, 0)]
        positions = [everything.index(box) for box in sample.boxes.tolist()]
        assert len(positions) == len(sample.annotations) == 2
        assert positions == sorted(set(positions))
        drawn.update(positions)
    assert drawn == set(range(len(everything)))


def test_jitter_moves_sides_within_the_share_and_the_picture(root):
    still = Sa1bDataset(root, "train", 256)[0].boxes
    extent = (still[:, 2:] - still[:, :2]).repeat(1, 2)
    for epoch in range(20):
        moved = Sa1bDataset(root, "train", 256, box_jitter=0.2)[(epoch, 0)].boxes
        assert ((moved - still).abs() <= 0.2 * extent + 1e-3).all()
        assert not torch.equal(moved, still)
        assert (moved >= 0).all() and (moved[:, 2] <= 256).all() and (moved[:, 3] <= 192).all()
    wild = Sa1bDataset(root, "train", 256, box_jitter=3.0)[0].boxes
    assert (wild[:, :2] <= wild[:, 2:]).all()


def test_area_filter(root):
    areas = [a.area for a in Sa1bDataset(root, "train", 64, keep_annotations=True)[0].annotations]
    low, high = min(areas), max(areas)
    kept = Sa1bDataset(root, "train", 64, filter_by_area=(low, high - 1), keep_annotations=True)[0].annotations
    assert [a.area for a in kept] == [area for area in areas if area != high]
    change_annotation(root, 0, lambda tree: [entry.update(area=9e6) for entry in tree["annotations"]])
    sample = Sa1bDataset(root, "train", 64, filter_by_area=(0, 1e6))[0]
    assert sample.image_id == "sa_0_001"
    assert [refusal.kind for refusal in sample.refusals] == ["filtered"]


def test_images_only(root):
    annotation_file(root, 1).unlink()
    assert "sa_0_001" not in Sa1bDataset(root, "train", 64).ids
    assert Sa1bDataset(root, "train", 64).unannotated == 1
    dataset = Sa1bDataset(root, "train", 64, with_annotations=False, clicks=2, max_annotations=3, box_jitter=0.1)
    assert len(dataset) == COUNT
    assert dataset.unannotated == 0
    sample = dataset[1]
    assert (sample.boxes.shape, sample.points.shape, sample.noise.shape) == ((0, 4), (0, 1, 2), (0, 2))


def test_first_images_by_name(root):
    assert Sa1bDataset(root, "train", 64, num_samples=2).ids == ("sa_0_000", "sa_0_001")
    assert len(Sa1bDataset(root, "train", 64, num_samples=99)) == COUNT
    for wrong in (0, -2):
        with pytest.raises(EdgeSamError, match=f"number of samples is {wrong}"):
            Sa1bDataset(root, "train", 64, num_samples=wrong)
    with pytest.raises(IndexError):
        Sa1bDataset(root, "train", 64)[COUNT]


def test_first_images_are_the_same_with_and_without_annotations(root):
    """The pass that stores embeddings reads no annotations: phase 2 must not go beyond the images that it stored."""
    for number in (1, 2):
        annotation_file(root, number).unlink()
    stored = TeacherImages(root, "train", 64, num_samples=4).ids
    dataset = Sa1bDataset(root, "train", 64, num_samples=4)
    assert dataset.ids == ("sa_0_000", "sa_0_003")
    assert set(dataset.ids) <= set(stored) and dataset.unannotated == 2
    annotation_file(root, 0).unlink()
    with pytest.raises(EdgeSamError, match="none of 3 chosen images of the train split is annotated"):
        Sa1bDataset(root, "train", 64, num_samples=3)


def break_image(root, number):
    image_file(root, number).write_bytes(image_file(root, number).read_bytes()[:2000])


def break_json(root, number):
    annotation_file(root, number).write_text('{"image": ')


def empty_list(root, number):
    change_annotation(root, number, lambda tree: tree.update(annotations=[]))


def other_size(root, number):
    Image.new("RGB", (192, 256)).save(image_file(root, number))


def all_outside(root, number):
    change_annotation(root, number, lambda tree: [e.update(bbox=[250, 1, 90, 5]) for e in tree["annotations"]])


def rle_of_another_size(root, number):
    change_annotation(
        root, number, lambda tree: [e["segmentation"].update(size=[256, 192]) for e in tree["annotations"]]
    )


def remove_image(root, number):
    image_file(root, number).unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_image, "cannot be decoded"),
        (break_json, "not JSON"),
        (empty_list, "empty list"),
        (other_size, "image is 192 x 256 pixels, its annotation file speaks of 256 x 192"),
        (all_outside, "outside of the picture"),
        (rle_of_another_size, "run lengths are of size"),
        (remove_image, "cannot be read"),
    ],
)
def test_broken_image_is_replaced_by_the_next_and_told(root, damage, reason):
    dataset = Sa1bDataset(root, "train", 64, clicks=1)
    undamaged = [dataset[(2, index)] for index in range(COUNT)]
    for number in (4, 5):
        damage(root, number)
    sample = dataset[(2, 4)]
    assert sample.index == 0
    assert torch.equal(sample.image, undamaged[0].image) and torch.equal(sample.noise, undamaged[0].noise)
    assert [(refusal.image_id, refusal.kind) for refusal in sample.refusals] == [
        ("sa_0_004", "image"),
        ("sa_0_005", "image"),
    ]
    assert reason in sample.refusals[0].reason
    assert same(dataset[(2, 3)], undamaged[3])


def test_broken_annotation_leaves_the_image(root):
    change_annotation(root, 0, lambda tree: tree["annotations"][1].update(bbox=[0, 0, 0, 0], id=77))
    before = len(json.loads(annotation_file(root, 0).read_text())["annotations"])
    sample = Sa1bDataset(root, "train", 64)[0]
    assert len(sample.boxes) == before - 1
    assert sample.index == 0
    assert sample.refusals == (Refusal("sa_0_000", "annotation 77: bbox [0, 0, 0, 0] has no area", "annotation"),)


def test_nothing_but_broken_images_is_an_error(root):
    dataset = Sa1bDataset(root, "train", 64)
    for number in range(COUNT):
        break_json(root, number)
    with pytest.raises(EdgeSamError, match="6 images in a row are unusable, the first sa_0_003: annotation file"):
        dataset[3]


def test_batch(root):
    dataset = Sa1bDataset(root, "train", 64, max_annotations=3, clicks=2)
    Image.open(image_file(root, 1)).transpose(Image.Transpose.ROTATE_90).save(image_file(root, 1))
    samples = [dataset[(1, index)] for index in (0, 1, 3)]
    samples[1].image = samples[1].image[:, :, :40]  # another shape
    samples[1].size = (samples[1].image.shape[1], 40)
    batch = collate(samples)
    assert len(batch) == 3
    assert batch.image_ids == [sample.image_id for sample in samples]
    assert batch.images.shape == (3, 3, 64, 64)
    for position, sample in enumerate(samples):
        height, width = sample.size
        assert batch.sizes[position].tolist() == [height, width]
        assert torch.equal(batch.images[position, :, :height, :width], sample.image)
        assert batch.images[position, :, height:].sum() == batch.images[position, :, :, width:].sum() == 0
        mine = batch.image_index == position
        for name in ("boxes", "points", "noise"):
            assert torch.equal(getattr(batch, name)[mine], getattr(sample, name))
    assert [refusal.image_id for refusal in batch.refusals] == ["sa_0_001"]
    assert batch.teacher_embedding is None


def test_batch_of_images_only_and_with_embeddings(root):
    dataset = Sa1bDataset(root, "train", 64, with_annotations=False)
    samples = [dataset[0], dataset[1]]
    batch = collate(samples)
    assert batch.boxes.shape == (0, 4)
    assert batch.image_index.shape == (0,)
    samples[0].teacher_embedding = torch.zeros(256, 4, 4, dtype=torch.float16)
    with pytest.raises(ValueError, match="some samples"):
        collate(samples)
    samples[1].teacher_embedding = torch.ones(256, 4, 4, dtype=torch.float16)
    assert collate(samples).teacher_embedding.shape == (2, 256, 4, 4)


def test_batch_moves(root):
    batch = collate([Sa1bDataset(root, "train", 64, clicks=1)[0]])
    moved = batch.to("meta")
    tensors = ("images", "sizes", "boxes", "points", "noise", "image_index")
    assert all(getattr(moved, name).device.type == "meta" for name in tensors)
    assert moved.image_ids == batch.image_ids
    assert batch.images.device.type == "cpu"


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_give_what_the_process_gives(root, context):
    dataset = Sa1bDataset(root, "train", 64, max_annotations=2, clicks=2, box_jitter=0.1)
    break_json(root, 2)
    sampler = ResumableSampler(len(dataset), batch_size=2, seed=1)
    options = {"sampler": sampler, "batch_size": 2, "collate_fn": collate}
    alone = list(DataLoader(dataset, **options))
    together = list(DataLoader(dataset, num_workers=2, multiprocessing_context=context, **options))
    assert len(alone) == len(together) == 3
    for a, b in zip(alone, together, strict=True):
        assert a.image_ids == b.image_ids and a.refusals == b.refusals
        assert torch.equal(a.images, b.images) and torch.equal(a.boxes, b.boxes) and torch.equal(a.noise, b.noise)


def test_pickles(root):
    dataset = Sa1bDataset(root, "train", 64, clicks=1)
    assert same(pickle.loads(pickle.dumps(dataset))[1], dataset[1])


def test_real_photographs(shared):
    dataset = Sa1bDataset(shared("realdata", "SA-1B"), "val", 256)
    assert len(dataset) == 100
    batch = collate([dataset[index] for index in range(4)])
    assert batch.images.shape == (4, 3, 256, 256)
    assert batch.refusals == []
    limits = batch.sizes[batch.image_index].flip(1).float()
    assert (batch.boxes[:, 2:] <= limits + 1e-3).all()
    assert (batch.points[:, 0] <= limits).all()
