import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils

import edge_sam
from edge_sam.errors import EdgeSamError
from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
from edge_sam.modeling.checkpoints import load_official, read_state
from edge_sam.modeling.registry import build_sam
from tests.inference.likeness_sam import LikenessSam
from tests.inference.naive_automatic_masks import naive_masks

LOOSE = {"pred_iou_thresh": 0.6, "stability_score_thresh": 0.6, "points_per_side": 6}


@pytest.fixture(scope="module")
def picture():
    """Discs of few colours on noise, so that masks repeat, have holes, islands and reach edges."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:96, :140]
    picture = np.full((96, 140, 3), 90) + rng.integers(-12, 13, (96, 140, 3))
    for _ in range(14):
        centre, radius = rng.uniform(0, 1, 2) * (96, 140), rng.uniform(4, 30)
        disc = np.hypot(rows - centre[0], columns - centre[1]) < radius
        picture[disc] = rng.choice([0, 60, 120, 180, 240], 3) + rng.integers(-12, 13, (disc.sum(), 3))
    return picture.clip(0, 255).astype(np.uint8)


def expect_same(found, expected, tolerance=1e-5):
    assert len(found) == len(expected) > 3
    for ours, naive in zip(found, expected, strict=True):
        shared = (ours["segmentation"] & naive["segmentation"]).sum()
        assert shared / (ours["segmentation"] | naive["segmentation"]).sum() >= 0.999
        assert ours["area"] == ours["segmentation"].sum()
        left, top, right, bottom = (int(value) for value in naive["box"])
        assert ours["bbox"] == [left, top, right - left, bottom - top]
        assert ours["crop_box"] == naive["crop_box"]
        np.testing.assert_allclose(ours["point_coords"], naive["point_coords"])
        for score in ("predicted_iou", "stability_score"):
            assert ours[score] == pytest.approx(naive[score], abs=max(tolerance, 1e-3 * (score[0] == "s")))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pred_iou_thresh": 0.85, "stability_score_thresh": 0.8, "stability_score_offset": 0.5},
        {"pred_iou_thresh": 0.0, "box_nms_thresh": 0.95},
        {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
        {"crop_n_layers": 2, "crop_nms_thresh": 0.5, "crop_overlap_ratio": 0.2, "crop_n_points_downscale_factor": 2},
        {"min_mask_region_area": 40},
        {"crop_n_layers": 1, "min_mask_region_area": 100, "crop_nms_thresh": 0.9},
    ],
)
def test_masks_are_those_of_the_definition(settings, picture):
    settings = LOOSE | settings
    expect_same(
        SamAutomaticMaskGenerator(LikenessSam(), **settings).generate(picture),
        naive_masks(LikenessSam().eval(), picture, **settings),
    )


def test_batches_change_nothing(picture):
    one, other = (
        SamAutomaticMaskGenerator(LikenessSam(), points_per_batch=batch, **LOOSE).generate(picture) for batch in (5, 64)
    )
    assert len(one) == len(other)
    assert all(np.array_equal(a["segmentation"], b["segmentation"]) for a, b in zip(one, other, strict=True))


def test_a_real_network_answers_by_the_definition(picture):
    torch.manual_seed(0)
    sam = build_sam("rep_vit_m1", 256).eval()
    settings = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    expect_same(
        SamAutomaticMaskGenerator(sam, **settings).generate(picture), naive_masks(sam, picture, **settings), 1e-4
    )


@pytest.mark.slow
def test_a_trained_network_answers_by_the_definition(shared):
    sam = build_sam("rep_vit_m1", 256, upsample_mode="bilinear").eval()
    load_official(sam, read_state(shared("lab_teacher", "lab_teacher_256.pth")), "lab teacher")
    image = np.array(Image.open(sorted(shared("realdata", "SA-1B", "images", "val").iterdir())[0]).convert("RGB"))
    settings = {
        "points_per_side": 6,
        "pred_iou_thresh": 0.3,
        "stability_score_thresh": 0.5,
        "stability_score_offset": 0.5,
    }
    expect_same(SamAutomaticMaskGenerator(sam, **settings).generate(image), naive_masks(sam, image, **settings), 1e-4)


def test_masks_come_in_three_forms(picture):
    forms = ("binary_mask", "uncompressed_rle", "coco_rle")
    binary, runs, text = (
        SamAutomaticMaskGenerator(LikenessSam(), output_mode=form, **LOOSE).generate(picture) for form in forms
    )
    for one, two, three in zip(binary, runs, text, strict=True):
        mask = one["segmentation"]
        encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert mask_utils.frPyObjects(two["segmentation"], *mask.shape) == encoded
        assert three["segmentation"] == {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    assert json.loads(json.dumps([runs, text])) == [runs, text]


def test_sparing_asks_and_makes_less_and_finds_almost_all(picture):
    everything, sparing = LikenessSam(), LikenessSam()
    settings = LOOSE | {"points_per_side": 16, "points_per_batch": 8, "pred_iou_thresh": 0.4}
    full = SamAutomaticMaskGenerator(everything, **settings).generate(picture)
    spared = SamAutomaticMaskGenerator(sparing, spare_points=True, **settings).generate(picture)
    assert everything.mask_decoder.points == 256
    assert sparing.mask_decoder.points < 256
    assert sparing.mask_decoder.masks < 0.9 * everything.mask_decoder.masks
    best = [max(intersection_over_union(mask, other) for other in spared) for mask in full]
    assert np.mean([iou > 0.75 for iou in best]) >= 0.9


def intersection_over_union(one, other):
    one, other = one["segmentation"], other["segmentation"]
    return (one & other).sum() / (one | other).sum()


def test_own_points_instead_of_a_grid(picture):
    grids = [np.array([[0.5, 0.25], [0.1, 0.9]])]
    settings = LOOSE | {"points_per_side": None, "point_grids": grids, "pred_iou_thresh": 0.0}
    masks = SamAutomaticMaskGenerator(LikenessSam(), **settings).generate(Image.fromarray(picture))
    assert {tuple(mask["point_coords"][0]) for mask in masks} == {(70.0, 24.0), (14.0, 86.4)}


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (2, 2)])
def test_lines_of_pixels(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    masks = SamAutomaticMaskGenerator(LikenessSam(), crop_n_layers=1, **LOOSE).generate(image)
    assert all(mask["segmentation"].shape == size for mask in masks)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_lines_of_pixels_are_found_once(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    masks = SamAutomaticMaskGenerator(LikenessSam(), **LOOSE | {"pred_iou_thresh": 0.0}).generate(image)
    found = [mask["segmentation"].tobytes() for mask in masks]
    assert found and len(set(found)) == len(found)


def test_nothing_found_is_no_mask(picture):
    settings = LOOSE | {"pred_iou_thresh": 2.0, "crop_n_layers": 1, "min_mask_region_area": 9, "spare_points": True}
    assert SamAutomaticMaskGenerator(LikenessSam(), **settings).generate(picture) == []


def test_answers_that_are_no_numbers_are_an_error_not_an_empty_picture(picture):
    sam = LikenessSam()
    sam.image_encoder.forward = lambda images: torch.full((1, 3, 64, 64), torch.nan)
    for bars in ({}, {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}):
        with pytest.raises(EdgeSamError, match="NaN or infinity"):
            SamAutomaticMaskGenerator(sam, **LOOSE | bars).generate(picture)


def test_a_broken_decoder_is_an_error_not_an_empty_picture(picture):
    sam = build_sam("rep_vit_m1", 64).eval()
    with torch.no_grad():
        sam.mask_decoder.output_upscaling[0].bias.fill_(torch.nan)  # the scores stay numbers
    bars = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    with pytest.raises(EdgeSamError, match="NaN or infinity"):
        SamAutomaticMaskGenerator(sam, points_per_side=2, **bars).generate(picture)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"points_per_side": None}, "one of the two"),
        ({"point_grids": [np.zeros((1, 2))]}, "one of the two"),
        ({"points_per_side": None, "point_grids": [np.zeros((1, 2))], "crop_n_layers": 1}, "has 1 grids"),
        ({"points_per_side": None, "point_grids": [np.full((1, 2), 1.5)]}, r"in \[0, 1\]"),
        ({"points_per_side": None, "point_grids": [np.zeros(2)]}, r"\(n, 2\)"),
        ({"points_per_side": 2, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}, "without a point"),
        ({"points_per_batch": 0}, "points_per_batch is 0; it should be at least 1"),
        ({"crop_n_layers": -1}, "crop_n_layers is -1"),
        ({"crop_n_layers": 99}, "crop_n_layers is 99; it should be at most 6"),
        ({"stability_score_offset": float("nan")}, "stability_score_offset is nan"),
        ({"box_nms_thresh": float("nan")}, "box_nms_thresh is not a number"),
        ({"pred_iou_thresh": float("nan")}, "pred_iou_thresh is not a number"),
        ({"output_mode": "png"}, "output_mode is 'png'; it should be one of binary_mask"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, said):
    with pytest.raises(EdgeSamError, match=said):
        SamAutomaticMaskGenerator(LikenessSam(), **settings)


def test_what_is_no_image_is_refused():
    with pytest.raises(EdgeSamError, match="RGB array"):
        SamAutomaticMaskGenerator(LikenessSam()).generate(np.zeros((8, 8)))


def test_the_package_offers_it():
    assert edge_sam.SamAutomaticMaskGenerator is SamAutomaticMaskGenerator
