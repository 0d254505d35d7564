import json

import numpy as np
import pytest
from PIL import Image

from edge_sam.data.annotations import parse_annotations
from edge_sam.data.sources import open_source
from edge_sam.errors import EdgeSamError
from edge_sam.inference.labelling import label_photographs

MADE_BY = {"checkpoint_sha256": "0" * 64, "settings": {"points_per_side": 8}}


class Generator:
    """Finds the left half, a line without a box, and nothing in dark pictures."""

    def __init__(self):
        self.calls = 0

    def generate(self, pixels):
        self.calls += 1
        if pixels.max() < 50:
            return []
        height, width = pixels.shape[:2]
        half = height * (width // 2)
        return [
            self.record([0, half, height * width - half], [0, 0, width // 2 - 1, height - 1], half, pixels),
            self.record([0, height, height * (width - 1)], [0, 0, 0, height - 1], height, pixels),
        ]

    def record(self, runs, box, area, pixels):
        return {
            "segmentation": {"size": list(pixels.shape[:2]), "counts": runs},
            "area": area,
            "bbox": box,
            "predicted_iou": 0.9,
            "point_coords": [[1.0, 1.0]],
            "stability_score": 0.95,
            "crop_box": [0, 0, pixels.shape[1], pixels.shape[0]],
        }


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 256, (24, 36, 3), dtype=np.uint8)).save(folder / name)
    Image.new("RGB", (20, 20)).save(folder / "dark.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no photograph")
    (folder / "folder.jpg").mkdir()
    return folder


def label(photographs, generator, made_by=MADE_BY, **options):
    return label_photographs(generator, made_by, photographs, photographs.parent / "out", "train", **options)


def test_the_loader_reads_what_was_laid_out(photographs):
    report = label(photographs, Generator())
    assert (report.images, report.masks, report.done_before) == (2, 2, 0)
    assert [entry.image for entry in report.left_out] == ["broken.jpg", "dark.png"]
    assert "not a kind that Pillow can read" in report.left_out[0].reason
    assert "--pred-iou-thresh" in report.left_out[1].reason
    source = open_source(photographs.parent / "out", "train")
    assert source.ids == ("a", "b")
    for name, file in (("a", "a.jpg"), ("b", "b.png")):
        assert source.read_image_bytes(name) == (photographs / file).read_bytes()
        found = parse_annotations(source.read_annotation_bytes(name))
        assert found.file_name == file and (found.height, found.width) == (24, 36) and not found.refused
        (annotation,) = found.annotations
        assert annotation.decode().sum() == 24 * 18 and annotation.decode()[:, :18].all()


def test_a_second_run_goes_on(photographs):
    generator = Generator()
    label(photographs, generator)
    (photographs.parent / "out" / "annotations" / "train" / "b.json").unlink()
    calls = generator.calls
    report = label(photographs, generator)
    assert (report.images, report.masks, report.done_before) == (2, 2, 1)
    assert generator.calls == calls + 2, "b, and dark again"
    Image.new("RGB", (10, 10), "white").save(photographs / "c.png")
    assert label(photographs, generator).done_before == 2


def test_another_model_or_another_picture_makes_masks_anew(photographs):
    generator = Generator()
    label(photographs, generator, copy=True)
    assert label(photographs, generator, {**MADE_BY, "checkpoint_sha256": "1" * 64}, copy=True).done_before == 0
    Image.new("RGB", (10, 10), "white").save(photographs / "b.png")
    with pytest.raises(EdgeSamError, match=r"b\.png: is there already, with other content"):
        label(photographs, generator, {**MADE_BY, "checkpoint_sha256": "1" * 64}, copy=True)


def test_annotations_of_people_are_not_written_over(photographs):
    annotations = photographs.parent / "out" / "annotations" / "train"
    annotations.mkdir(parents=True)
    (annotations / "a.json").write_text(json.dumps({"image": {}, "annotations": []}))
    with pytest.raises(EdgeSamError, match=r"a\.json: is there already, and holds no automatic masks"):
        label(photographs, Generator())


def test_a_folder_without_use_is_named(tmp_path):
    (tmp_path / "dark").mkdir()
    with pytest.raises(EdgeSamError, match="holds no photograph"):
        label(tmp_path / "dark", Generator())
    Image.new("RGB", (20, 20)).save(tmp_path / "dark" / "dark.png")
    with pytest.raises(EdgeSamError, match=r"not one mask in its photographs \(no mask .*--pred-iou-thresh, --"):
        label(tmp_path / "dark", Generator())
    Image.new("RGB", (20, 20)).save(tmp_path / "dark" / "dark.jpg")
    with pytest.raises(EdgeSamError, match=r"dark\.jpg and dark\.png would share"):
        label(tmp_path / "dark", Generator())
    with pytest.raises(EdgeSamError, match="no such folder"):
        label(tmp_path / "nowhere", Generator())
    with pytest.raises(EdgeSamError, match=r"dark\.png: is a file, not a folder"):
        label(tmp_path / "dark" / "dark.png", Generator())
