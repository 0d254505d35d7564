"""COCO instances files laid out: masks kept exactly, what COCO lacks made from them, what is wrong told."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.cli import main
from edge_sam.data import prepare_coco as module
from edge_sam.data.prepare_coco import prepare_coco
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.errors import EdgeSamError

SIZE = (40, 60)
POLYGON = [[10.5, 5.0, 30.25, 5.0, 30.25, 25.75, 10.5, 25.75]]


def run_lengths(left: int, top: int, right: int, bottom: int) -> dict:
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    rle = mask_utils.encode(mask)
    return {"size": list(SIZE), "counts": rle["counts"].decode()}


def uncompressed(left: int, top: int, right: int, bottom: int) -> dict:
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = 1
    flat = mask.flatten("F")
    bounds = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    return {"size": list(SIZE), "counts": np.diff(np.concatenate([[0], bounds, [flat.size]])).tolist()}


def entry(number: int, image: int, segmentation, **keys) -> dict:
    return {"id": number, "image_id": image, "category_id": 7, "iscrowd": 0, "segmentation": segmentation} | keys


def coco_tree() -> dict:
    images = [
        {"id": 5, "file_name": "b.jpg", "height": SIZE[0], "width": SIZE[1], "license": 3},
        {"id": 2, "file_name": "deeper/a.png", "height": SIZE[0], "width": SIZE[1]},
    ]
    annotations = [
        entry(1, 5, POLYGON, bbox=[10.5, 5.0, 19.75, 20.75], area=409.8),
        entry(2, 5, run_lengths(2, 3, 22, 13), bbox=[2, 3, 20, 10], area=1),
        entry(3, 2, uncompressed(30, 20, 50, 35)),
        entry(4, 2, uncompressed(0, 0, 60, 40), iscrowd=1),
    ]
    return {"images": images, "annotations": annotations, "categories": []}


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("b.jpg", "deeper/a.png"):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / name)
    return folder


def write(tmp_path: Path, tree) -> Path:
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(tree))
    return file


def change(tree, change_annotation: dict, number: int = 1) -> dict:
    tree["annotations"][number - 1].update(change_annotation)
    return tree


def laid_out(out: Path, name: str) -> dict:
    return json.loads((out / "annotations" / "train" / f"{name}.json").read_text())


def test_masks_are_kept_and_what_is_lacking_is_made(tmp_path, pictures):
    out = tmp_path / "out"
    report = prepare_coco(write(tmp_path, coco_tree()), pictures, out, "train")
    assert (report.images, report.masks, report.done_before) == (2, 3, 0)
    assert [(left.image, left.annotation) for left in report.left_out] == [("a", 4)]
    assert "1 crowds, 0 other annotations and 0 images" in report.describe()
    (told,) = (json.loads(line) for line in report.left_out_file.read_text().splitlines())
    assert told["image"] == "a" and "crowd" in told["reason"]

    polygon, rle = laid_out(out, "b")["annotations"]
    assert polygon["segmentation"] == POLYGON and polygon["bbox"] == [10.5, 5.0, 19.75, 20.75]
    decoded = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(POLYGON, *SIZE)))
    assert polygon["area"] == decoded.sum()
    assert (polygon["id"], polygon["category_id"]) == (1, 7)
    assert rle["segmentation"] == run_lengths(2, 3, 22, 13) and rle["area"] == 200
    ((column, row),) = rle["point_coords"]
    assert row in (7, 8) and 6 <= column <= 17  # as far inside as can be
    (whole,) = laid_out(out, "a")["annotations"]
    assert whole["bbox"] == [30, 20, 20, 15] and whole["area"] == 300
    image = laid_out(out, "b")["image"]
    assert (image["image_id"], image["file_name"], image["license"]) == (5, "b.jpg", 3)

    dataset = Sa1bDataset(out, "train", 60, with_masks=True)
    assert dataset.ids == ("a", "b")
    assert not dataset[0].refusals and not dataset[1].refusals
    assert dataset[0].masks.sum() / 255 * 16 == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_picture_that_exif_turns_is_left_out(orientation, tmp_path, pictures):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(pictures / "b.jpg").save(pictures / "b.jpg", exif=exif)
    report = prepare_coco(write(tmp_path, coco_tree()), pictures, tmp_path / "out", "train")
    reasons = {left.image: left.reason for left in report.left_out if left.annotation is None}
    assert list(reasons) == ["b"] and f"EXIF orientation {orientation}, " in reasons["b"]
    assert "save it upright" in reasons["b"]
    assert report.images == 1 and not (tmp_path / "out" / "images" / "train" / "b.jpg").exists()


@pytest.mark.parametrize("exif", [{0x0112: 1}, {0x0112: 9}, {}])
def test_a_picture_that_exif_leaves_alone_is_taken(exif, tmp_path, pictures):
    noted = Image.Exif()
    noted.update(exif)
    Image.open(pictures / "b.jpg").save(pictures / "b.jpg", exif=noted)
    assert prepare_coco(write(tmp_path, coco_tree()), pictures, tmp_path / "out", "train").images == 2


def test_pictures_are_links_or_copies(tmp_path, pictures):
    file = write(tmp_path, coco_tree())
    prepare_coco(file, pictures, tmp_path / "links", "train")
    prepare_coco(file, pictures, tmp_path / "copies", "train", copy=True)
    for folder, linked in (("links", True), ("copies", False)):
        picture = tmp_path / folder / "images" / "train" / "a.png"
        assert picture.samefile(pictures / "deeper" / "a.png") is linked
        assert picture.read_bytes() == (pictures / "deeper" / "a.png").read_bytes()


def test_a_disk_without_links_gets_copies(tmp_path, pictures, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert prepare_coco(write(tmp_path, coco_tree()), pictures, tmp_path / "out", "val").images == 2
    assert (tmp_path / "out" / "images" / "val" / "b.jpg").stat().st_nlink == 1


def test_a_stopped_run_goes_on(tmp_path, pictures, monkeypatch):
    file, out = write(tmp_path, coco_tree()), tmp_path / "out"
    original = module.write_atomically

    def stop_at_b(path, content):
        if path.name == "b.json":
            raise KeyboardInterrupt
        original(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", stop_at_b)
        with pytest.raises(KeyboardInterrupt):
            prepare_coco(file, pictures, out, "train", workers=1)
    assert not (out / "annotations" / "train" / "b.json").exists()
    report = prepare_coco(file, pictures, out, "train")
    assert (report.images, report.masks, report.done_before) == (2, 3, 1)
    assert [left.annotation for left in report.left_out] == [4]  # told again, from what the first run noted
    again = prepare_coco(file, pictures, out, "train")
    assert (again.done_before, again.left_out) == (2, report.left_out)


def test_images_of_an_earlier_file_stay_and_are_told(tmp_path, pictures):
    out = tmp_path / "out"
    first = prepare_coco(write(tmp_path, coco_tree()), pictures, out, "train")
    assert first.of_earlier_files == () and "earlier files" not in first.describe()
    for name, content in (("c", '{"annotations": []}'), ("d", "["), ("e", "7")):
        (out / "annotations" / "train" / f"{name}.json").write_text(content)  # not from a COCO file
    tree = coco_tree()
    tree["images"], tree["annotations"] = tree["images"][:1], tree["annotations"][:2]
    report = prepare_coco(write(tmp_path, tree), pictures, out, "train")
    assert report.of_earlier_files == ("a",)
    assert report.describe().endswith("nothing left out; 1 images of earlier files are still there, e.g. a")
    assert laid_out(out, "a")["annotations"] and (out / "images" / "train" / "a.png").exists()


def test_changed_entries_are_laid_out_anew(tmp_path, pictures):
    out = tmp_path / "out"
    prepare_coco(write(tmp_path, coco_tree()), pictures, out, "train")
    tree = change(coco_tree(), {"segmentation": run_lengths(0, 0, 9, 9), "bbox": [0, 0, 9, 9]})
    report = prepare_coco(write(tmp_path, tree), pictures, out, "train")
    assert report.done_before == 1
    assert laid_out(out, "b")["annotations"][0]["area"] == 81
    tree["annotations"] = tree["annotations"][2:]
    report = prepare_coco(write(tmp_path, tree), pictures, out, "train")
    assert report.images == 1 and not (out / "annotations" / "train" / "b.json").exists()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"segmentation": {"size": [60, 40], "counts": "1"}}, r"run lengths are of size \[60, 40\]"),
        ({"segmentation": {"size": list(SIZE), "counts": [10, 5]}}, "cover 15 pixels, the image has 2400"),
        ({"segmentation": [[10, 5, 90, 5, 90, 25]]}, "a polygon reaches out of the picture"),
        ({"segmentation": [[10.1, 5.1, 10.1, 5.1, 10.1, 5.1]]}, "mask is empty"),
        ({"segmentation": None}, "neither run lengths nor polygons"),
        ({"bbox": [50, 5, 30, 10]}, "is outside of the picture"),
    ],
)
def test_a_wrong_annotation_is_left_out_and_told(tmp_path, pictures, wrong, reason):
    report = prepare_coco(write(tmp_path, change(coco_tree(), wrong)), pictures, tmp_path / "out", "train")
    (left,) = (left for left in report.left_out if left.annotation == 1)
    assert re.search(reason, left.reason)
    assert report.masks == 2


def test_images_without_use_are_left_out_and_told(tmp_path, pictures):
    tree = coco_tree()
    tree["annotations"] = tree["annotations"][:2]
    report = prepare_coco(write(tmp_path, tree), pictures, tmp_path / "out", "train")
    assert [(left.image, left.annotation, left.reason) for left in report.left_out] == [
        ("a", None, "has no usable annotation")
    ]
    Image.new("RGB", (10, 10)).save(pictures / "b.jpg")
    with pytest.raises(EdgeSamError, match="not one usable mask"):
        prepare_coco(write(tmp_path, tree), pictures, tmp_path / "other", "train")
    told = (tmp_path / "other" / ".prepared" / "train" / "left_out.jsonl").read_text()
    assert "picture is 10 x 10 pixels, its entry speaks of 60 x 40" in told
    assert not any((tmp_path / "other" / "images" / "train").iterdir())


def unknown_image(tree):
    tree["annotations"][2]["image_id"] = "2"


def panoptic(tree):
    tree["annotations"][0] = {"image_id": 5, "segments_info": []}


def no_annotations(tree):
    tree["annotations"] = []


def captions(tree):
    tree["annotations"] = [{"id": 1, "image_id": 5, "caption": "a cat"}]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unknown_image, "1 of 4 annotations are of images that it does not list, e.g. annotation 3 of image '2'"),
        (panoptic, "is a COCO panoptic file"),
        (no_annotations, "holds 2 images and 0 annotations"),
        (captions, "not one usable mask"),
        (lambda tree: tree.pop("images"), 'has no list of "images"'),
        (lambda tree: tree["images"][0].update(file_name="c.jpg"), "lacks 1 of the 2 pictures .* e.g. c.jpg"),
        (lambda tree: tree["images"][0].update(file_name="../b.jpg"), "should be a path below the folder"),
        (lambda tree: tree["images"][0].update(file_name="b.gif"), "should end in .jpg"),
        (lambda tree: tree["images"][0].update(file_name="a.jpg"), "would get the same name"),
        (lambda tree: tree["images"][0].update(id=2), "two images have the id 2"),
        (lambda tree: tree["images"][0].pop("id"), "has the id None"),
        (lambda tree: tree["images"][0].update(width="60"), "has width '60' and height 40"),
    ],
)
def test_what_cannot_be_laid_out_is_an_error(tmp_path, pictures, damage, message):
    tree = coco_tree()
    damage(tree)
    with pytest.raises(EdgeSamError, match=message):
        prepare_coco(write(tmp_path, tree), pictures, tmp_path / "out", "train")


def test_no_coco_file(tmp_path, pictures):
    with pytest.raises(EdgeSamError, match="cannot be read"):
        prepare_coco(tmp_path / "absent.json", pictures, tmp_path / "out", "train")
    for content, message in (("[1]", 'no list of "images"'), ("{", "is not JSON")):
        (tmp_path / "wrong.json").write_text(content)
        with pytest.raises(EdgeSamError, match=message):
            prepare_coco(tmp_path / "wrong.json", pictures, tmp_path / "out", "train")
    with pytest.raises(EdgeSamError, match="number of workers is 0"):
        prepare_coco(write(tmp_path, coco_tree()), pictures, tmp_path / "out", "train", workers=0)


def test_files_of_others_are_left_alone(tmp_path, pictures):
    out = tmp_path / "out"
    file = write(tmp_path, coco_tree())
    for folder in ("images", "annotations"):
        (out / folder / "train").mkdir(parents=True)
    (out / "images" / "train" / "b.jpg").write_bytes(b"mine")
    with pytest.raises(EdgeSamError, match=r"b\.jpg: is there already, with other content"):
        prepare_coco(file, pictures, out, "train")
    (out / "images" / "train" / "b.jpg").unlink()
    (out / "annotations" / "train" / "b.json").write_text('{"annotations": []}')
    with pytest.raises(EdgeSamError, match=r"b\.json: is there already, and was not made from a COCO file"):
        prepare_coco(file, pictures, out, "train")
    assert (out / "annotations" / "train" / "b.json").read_text() == '{"annotations": []}'


def test_command(tmp_path, pictures, capsys):
    file = write(tmp_path, coco_tree())
    arguments = ["prepare", "coco", str(file), "--images", str(pictures), "--split", "val", "--copy"]
    main([*arguments, "--data-path", str(tmp_path / "out")])
    assert "2 images with 3 masks; left out: 1 crowds" in capsys.readouterr().out


def test_real_instances(shared, tmp_path):
    root = shared("realdata", "coco")
    report = prepare_coco(root / "annotations/instances_val2017.json", root / "val2017", tmp_path, "val", copy=True)
    assert (report.images, report.masks, len(report.left_out)) == (80, 548, 5)
    dataset = Sa1bDataset(tmp_path, "val", 256, with_masks=True)
    assert not [refusal for index in range(10) for refusal in dataset[index].refusals]
