import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
from edge_sam.inference.everything import find_everything
from tests.inference.likeness_sam import LikenessSam


@pytest.fixture(scope="module")
def generator():
    return SamAutomaticMaskGenerator(LikenessSam(), 6, pred_iou_thresh=0, stability_score_thresh=0)


def test_a_coco_file_and_an_overlay_of_each_picture(generator, tmp_path):
    rng = np.random.default_rng(0)
    pictures = [tmp_path / "a.png", tmp_path / "a.bmp", tmp_path / "broken.jpg"]
    pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    for picture in pictures[:2]:
        Image.fromarray(pixels).save(picture)
    pictures[2].write_bytes(b"no picture")
    report = find_everything(generator, pictures, tmp_path / "out")
    content = json.loads(report.file.read_text())
    assert report.pictures == 2 and len(report.left_out) == 1 and "broken.jpg" in report.left_out[0]
    assert [image["file_name"] for image in content["images"]] == ["a.png", "a.bmp"]
    records = generator.generate(pixels)
    assert len(content["annotations"]) == report.masks == 2 * len(records) > 0
    for entry, record in zip(content["annotations"], records * 2, strict=True):
        assert np.array_equal(mask_utils.decode(entry["segmentation"]), record["segmentation"])
        assert entry["score"] == record["predicted_iou"] and entry["area"] == record["area"]
    assert sorted(path.name for path in (tmp_path / "out" / "overlays").iterdir()) == ["a.bmp.jpg", "a.png.jpg"]


def test_not_one_mask_comes_with_what_to_do(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    strict = SamAutomaticMaskGenerator(LikenessSam(), 1, pred_iou_thresh=2)
    lines = find_everything(strict, [tmp_path / "a.png"], tmp_path / "out").describe()
    assert "with 0 masks" in lines[-2] and "--pred-iou-thresh, --stability-score-thresh" in lines[-1]


def test_not_one_picture_is_an_error(generator, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(EdgeSamError, match=r"broken\.jpg: image cannot be decoded"):
        find_everything(generator, [tmp_path / "broken.jpg"], tmp_path / "out")


def test_a_picture_too_long_for_jpeg_costs_the_others_nothing(generator, tmp_path):
    pictures = [tmp_path / name for name in ("a.png", "long.png", "z.png")]
    for picture, width in zip(pictures, (20, 70000, 20), strict=True):
        Image.new("RGB", (width, 20), (200, 40, 40)).save(picture)
    report = find_everything(generator, pictures, tmp_path / "out")
    assert report.pictures == 3 and not report.left_out
    images = json.loads(report.file.read_text())["images"]
    assert [(image["file_name"], image["width"]) for image in images][1] == ("long.png", 70000)
    assert Image.open(tmp_path / "out" / "overlays" / "long.png.jpg").width == 65500


def test_a_network_without_numbers_ends_the_run_and_names_the_picture(generator, tmp_path, monkeypatch):
    def answer(pixels):
        raise NotFiniteError

    sound = generator.generate
    monkeypatch.setattr(generator, "generate", lambda pixels: answer(pixels) if pixels.shape[0] == 9 else sound(pixels))
    for name, size in (("a.png", 8), ("b.png", 9)):
        Image.new("RGB", (size, size)).save(tmp_path / name)
    with pytest.raises(EdgeSamError, match=r"b\.png: the network answers with NaN or infinity"):
        find_everything(generator, [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert not (tmp_path / "out" / "annotations.json").exists()
