"""Augmented samples: image, masks, boxes and points go the same way, and the draw is the sample's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_sam.data.augmentation import Augmentation, View
from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.errors import EdgeSamError
from tests.data.test_visible_masks import annotate
from tests.synthetic import write_sa1b

EVERYTHING = Augmentation(flip=0.5, crop=(0.3, 1.0), scale=(0.5, 1.0))
SIDE = 128


@pytest.fixture
def painted(tmp_path) -> Path:
    """Pictures, PNG, whose first and only mask is what is white in them."""
    rng = np.random.default_rng(5)
    for folder in ("images", "annotations"):
        (tmp_path / folder / "train").mkdir(parents=True)
    for number, (height, width) in enumerate([(300, 400), (401, 260), (97, 130)]):
        rows, columns = np.mgrid[:height, :width]
        mask = np.zeros((height, width), bool)
        for _ in range(3):
            row, column, radius = rng.uniform(0.2, 0.8) * height, rng.uniform(0.2, 0.8) * width, rng.uniform(15, 80)
            mask |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        Image.fromarray(mask[..., None].repeat(3, 2).astype(np.uint8) * 255).save(
            tmp_path / "images" / "train" / f"{number}.png"
        )
        annotation = annotate(mask)
        left, top, right, bottom = annotation.box_xyxy.tolist()
        entry = {
            "segmentation": {"size": [height, width], "counts": annotation.rle["counts"].decode()},
            "bbox": [left, top, right - left, bottom - top],
            "area": annotation.area,
            "point_coords": [[left, top]],
        }
        tree = {"image": {"height": height, "width": width}, "annotations": [entry]}
        (tmp_path / "annotations" / "train" / f"{number}.json").write_text(json.dumps(tree))
    return tmp_path


@pytest.mark.parametrize("augmentation", [None, Augmentation(flip=1.0), EVERYTHING])
def test_mask_box_and_point_agree_with_the_image(painted, augmentation):
    dataset = Sa1bDataset(painted, "train", SIDE, with_masks=True, augmentation=augmentation)
    for epoch in range(20):
        for index in range(len(dataset)):
            sample = dataset[(epoch, index)]
            white, inside = torch.zeros(2, SIDE, SIDE)
            white[: sample.size[0], : sample.size[1]] = sample.image[0] / 255
            inside[: sample.size[0], : sample.size[1]] = 1
            sums, pixels = (plane.reshape(SIDE // 4, 4, SIDE // 4, 4).sum((1, 3)) for plane in (white, inside))
            blocks = sums / pixels.clamp(min=1)
            mask = sample.masks[0] / 255
            # Resizing the image blurs its edges, evenly to both sides: alike within that, and not shifted at all.
            assert (mask - blocks).abs().max() < 0.2
            assert (mask - blocks).sum().abs() < 0.01 * mask.sum()
            for axis in (0, 1):
                places = torch.arange(SIDE // 4.0)
                middle, seen = ((m.sum(1 - axis) * places).sum() / m.sum() for m in (mask, blocks))
                assert abs(middle - seen) < 0.02  # of a low-resolution pixel
            rows, columns = (torch.where((white > 0.1).any(axis))[0] for axis in (1, 0))
            tight = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            assert (sample.boxes[0] - tight).abs().max() <= 2  # blurred
            column, row = sample.points[0, 0].int().tolist()
            assert mask[row // 4, column // 4] > 0
            assert white[row, column] > 0.2


def test_views_vary_as_asked(painted):
    dataset = Sa1bDataset(painted, "train", SIDE, with_masks=True, augmentation=EVERYTHING)
    longest = [max(dataset[(epoch, 0)].size) for epoch in range(40)]
    assert min(longest) < 0.6 * SIDE and max(longest) > 0.9 * SIDE and min(longest) >= SIDE // 2
    rng = np.random.default_rng(0)
    for _ in range(200):
        *crops, whole = EVERYTHING.draw_views((300, 400), SIDE, rng, 3)
        assert len(crops) == 3 and whole.shows_all_of((300, 400))
        for view in crops:
            assert 0 <= view.left <= 400 - view.width and 0 <= view.top <= 300 - view.height
            assert 0.3 / 1.16 <= view.width / 400 <= 1 and 1 / 1.33 < (view.width / 400) / (view.height / 300) < 1.33
    assert len(Augmentation(flip=1).draw_views((3, 4), 8, rng, 3)) == 1


def test_samples_with_masks_depend_on_seed_epoch_and_name_alone(tmp_path):
    root = write_sa1b(tmp_path, "train", 3)
    augmentation = Augmentation(0.5, (0.5, 1.0), (0.6, 1.0), 0.4, 0.1)

    def dataset(seed=0):
        return Sa1bDataset(
            root, "train", 64, max_annotations=2, clicks=1, with_masks=True, augmentation=augmentation, seed=seed
        )

    a, b, other = dataset()[(3, 1)], dataset()[(3, 1)], dataset(1)[(3, 1)]
    for name in ("image", "masks", "boxes", "points", "noise"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    assert not torch.equal(a.noise, other.noise)
    np.random.seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state()
    dataset()[0]
    assert np.random.get_state()[1].tolist() == before[0] and torch.equal(torch.get_rng_state(), before[1])


def test_every_mask_has_its_turn_and_only_boxes_jitter(tmp_path):
    root = write_sa1b(tmp_path, "train", 1)
    every = Sa1bDataset(root, "train", 64, with_masks=True)[0]
    assert len(every.masks) > 1
    jittered = Sa1bDataset(root, "train", 64, max_annotations=1, with_masks=True, box_jitter=0.2)
    drawn = set()
    for epoch in range(40):
        sample = jittered[(epoch, 0)]
        (number,) = (n for n, mask in enumerate(every.masks) if torch.equal(mask, sample.masks[0]))
        drawn.add(number)
        moved, extent = (sample.boxes[0] - every.boxes[number]).abs(), every.boxes[number, 2:] - every.boxes[number, :2]
        assert moved.any() and (moved <= 0.2 * extent.repeat(2) + 1e-4).all()
    assert drawn == set(range(len(every.masks)))


def test_batch_has_the_squares_and_masks_of_its_samples(tmp_path):
    root = write_sa1b(tmp_path, "train", 3)
    small = Augmentation(scale=(0.5, 0.5))
    dataset = Sa1bDataset(root, "train", 64, max_annotations=2, with_masks=True, augmentation=small)
    samples = [dataset[0], dataset[1]]
    assert max(samples[0].size) == 32
    batch = collate(samples)
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.masks.shape == (4, 16, 16) and batch.masks.dtype == torch.uint8
    assert torch.equal(batch.masks, torch.cat([sample.masks for sample in samples]))
    assert batch.to("meta").masks.device.type == "meta"
    samples[1].masks = None
    with pytest.raises(ValueError, match="some samples have masks"):
        collate(samples)


def test_a_crop_that_shows_no_mask_gives_way(painted):
    tree = json.loads((painted / "annotations/train/0.json").read_text())
    corner = np.zeros((300, 400), np.uint8)
    corner[:20, :20] = 1
    tree["annotations"][0]["segmentation"]["counts"] = annotate(corner).rle["counts"].decode()
    (painted / "annotations/train/0.json").write_text(json.dumps(tree))
    dataset = Sa1bDataset(painted, "train", SIDE, with_masks=True, augmentation=Augmentation(crop=(0.1, 0.2)))
    sizes = [(sample.index, len(sample.boxes)) for sample in (dataset[(epoch, 0)] for epoch in range(30))]
    assert set(sizes) == {(0, 1)}


def test_an_image_of_specks_alone_is_replaced_and_told(painted):
    tree = json.loads((painted / "annotations/train/0.json").read_text())
    speck = np.zeros((300, 400), np.uint8)
    speck[5:10, 5:10] = 1
    tree["annotations"][0]["segmentation"]["counts"] = annotate(speck).rle["counts"].decode()
    (painted / "annotations/train/0.json").write_text(json.dumps(tree))
    sample = Sa1bDataset(painted, "train", SIDE, with_masks=True)[0]
    assert sample.index == 1
    assert [(refusal.image_id, refusal.kind) for refusal in sample.refusals] == [("0", "filtered")]


def test_without_augmentation_the_image_is_the_same_as_ever(tmp_path):
    root = write_sa1b(tmp_path, "train", 1)
    plain, masked = Sa1bDataset(root, "train", 64)[0], Sa1bDataset(root, "train", 64, with_masks=True)[0]
    assert torch.equal(plain.image, masked.image) and torch.equal(plain.boxes, masked.boxes)
    assert plain.masks is None


def test_crop_is_resized_as_a_picture_of_its_own():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    view = View(10, 5, 40, 20, (16, 32))
    inside = View(0, 0, 40, 20, (16, 32)).of(Image.fromarray(pixels[5:25, 10:50]))
    assert torch.equal(view.of(Image.fromarray(pixels)), inside)
    mirrored = View(10, 5, 40, 20, (16, 32), mirrored=True).of(Image.fromarray(pixels))
    assert torch.equal(mirrored, inside.flip(-1))


def test_colours():
    image = torch.randint(40, 200, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    assert torch.equal(Augmentation().recolor(image, rng), image)
    grey = Augmentation(gray=1.0).recolor(image, rng)
    luma = (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * image).sum(0)
    assert (grey - luma).abs().max() <= 0.51
    changed = torch.stack([Augmentation(color=0.4).recolor(image, rng) for _ in range(200)]).float()
    brightness, spread = changed.mean((1, 2, 3)), changed.std((1, 2, 3))
    assert 0.55 * image.float().mean() < brightness.min() < 0.7 * image.float().mean()
    assert 1.3 * image.float().mean() < brightness.max() < 1.45 * image.float().mean()
    assert spread.min() < 0.6 * image.float().std() and spread.max() > 1.4 * image.float().std()
    mild = torch.stack([Augmentation(color=0.01).recolor(image, rng) for _ in range(20)]).float()
    assert (mild - image).abs().max() < 10


@pytest.mark.parametrize(
    "wrong", [{"flip": 1.5}, {"color": -0.1}, {"gray": float("nan")}, {"crop": (0.0, 1.0)}, {"scale": (0.9, 0.5)}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(EdgeSamError, match=f"augmentation: {next(iter(wrong))} is"):
        Augmentation(**wrong)


def test_options_that_need_one_another(tmp_path):
    root = write_sa1b(tmp_path, "train", 1)
    with pytest.raises(ValueError, match="masks come from annotations"):
        Sa1bDataset(root, "train", 64, with_annotations=False, with_masks=True)
    with pytest.raises(ValueError, match="only samples with masks"):
        Sa1bDataset(root, "train", 64, augmentation=Augmentation())
