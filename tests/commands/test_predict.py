import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.cli import main
from edge_sam.commands.predict_files import Answer, write_answer
from edge_sam.errors import EdgeSamError
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.sam import Sam


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    held = Image.fromarray(np.rot90(pixels))
    held.getexif()[0x0112] = 6
    held.save(tmp_path / "photo.png", exif=held.getexif())
    return tmp_path / "photo.png", pixels


def predict(*arguments):
    main(["predict", *map(str, arguments), "--only-cpu"])


def test_files_hold_what_the_predictor_answers(model_folder, picture, tmp_path, capsys):
    path, pixels = picture
    out = tmp_path / "out"
    predict(path, "--checkpoint", model_folder, "--point", "30,40", "--point", "90,20,0", "--box", "10,10,120,80",
            "--num-multimask-outputs", 3, "--out", out)  # fmt: skip
    predictor = SamPredictor(Sam.from_pretrained(model_folder))
    predictor.set_image(pixels)
    masks, scores, _ = predictor.predict([[30, 40], [90, 20]], [1, 0], [10, 10, 120, 80])
    content = json.loads((out / "photo.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "photo.png", "width": 160, "height": 90}]
    by_number = {entry["id"]: entry for entry in content["annotations"]}
    assert list(by_number) == (1 + np.flatnonzero(masks.any((1, 2)))).tolist()
    for number, (mask, score) in enumerate(zip(masks, scores, strict=True), start=1):
        assert np.array_equal(np.asarray(Image.open(out / f"photo_mask_{number}.png")), mask)
        if number in by_number:
            assert np.array_equal(mask_utils.decode(by_number[number]["segmentation"]), mask)
            assert by_number[number]["score"] == pytest.approx(float(score), abs=1e-5)
    assert Image.open(out / "photo_overlay.jpg").size == (160, 90)
    assert capsys.readouterr().out.count("photo_mask_") == 3


def test_several_boxes_are_several_objects(model_folder, picture, tmp_path, capsys):
    predict(picture[0], "--checkpoint", model_folder / "model.safetensors", "--box", "10,10,120,80",
            "--box", "0,0,50,50", "--out", tmp_path / "out", "--use-stability-score")  # fmt: skip
    assert "object 2" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("photo_mask_*.png"))) == 2


def answer_of(*masks):
    """Candidates (H, W) for one object."""
    nothing = np.zeros((0, 2))
    scores = np.ones((1, len(masks)), np.float32)
    return Answer(np.stack(masks)[None], scores, nothing, np.zeros(0, np.int64), np.zeros((0, 4)))


def test_a_mask_without_a_pixel_is_told_and_leaves_its_number_free(tmp_path):
    pixels, whole = np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), bool)
    lines = write_answer(answer_of(~whole, whole), Path("photo.jpg"), pixels, tmp_path)
    assert lines[0].endswith("0 pixels, not in the COCO file") and lines[1].endswith(" 48 pixels")
    assert [entry["id"] for entry in json.loads((tmp_path / "photo.json").read_text())["annotations"]] == [2]
    assert np.asarray(Image.open(tmp_path / "photo_mask_2.png")).all()


def test_masks_of_an_earlier_answer_do_not_stay(tmp_path):
    pixels, whole = np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), bool)
    for name in ("photo[1]", "photo[1]_mask_1", "photo1"):
        write_answer(answer_of(whole, whole, whole), Path(f"{name}.jpg"), pixels, tmp_path)
    write_answer(answer_of(whole), Path("photo[1].jpg"), pixels, tmp_path)
    kept = {path.name for path in tmp_path.glob("*_mask_*.png")}
    others = {f"{name}_mask_{number}.png" for name in ("photo[1]_mask_1", "photo1") for number in (1, 2, 3)}
    assert kept == {"photo[1]_mask_1.png"} | others


def test_a_picture_too_long_for_jpeg_has_its_files(tmp_path):
    pixels, whole = np.zeros((3, 70000, 3), np.uint8), np.ones((3, 70000), bool)
    write_answer(answer_of(whole), Path("long.png"), pixels, tmp_path)
    assert json.loads((tmp_path / "long.json").read_text())["images"][0]["width"] == 70000
    assert Image.open(tmp_path / "long_overlay.jpg").width == 65500


def test_an_overlay_that_cannot_be_written_costs_only_itself(tmp_path):
    pixels, whole = np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), bool)
    (tmp_path / "photo_overlay.jpg").mkdir()
    with pytest.raises(EdgeSamError, match=r"photo_overlay\.jpg: Is a directory"):
        write_answer(answer_of(whole), Path("photo.jpg"), pixels, tmp_path)
    assert json.loads((tmp_path / "photo.json").read_text())["annotations"]


def test_a_box_over_the_edge_is_cut(model_folder, picture, tmp_path):
    made = []
    for box in ("-9,-5,90,70", "0,0,90,70"):
        predict(picture[0], "--checkpoint", model_folder, f"--box={box}", "--out", tmp_path / box)
        made.append((tmp_path / box / "photo_mask_1.png").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no prompt: give --point or --box"),
        (["--point", "1,1", "--box", "1,1,9,9", "--box", "1,1,9,9"], "2 boxes and points"),
        (["--point", "160.5,9"], "is outside of the picture of 160 x 90"),
        (["--point", "nan,9"], "not finite"),
        (["--box", "9,9,9,20"], "has no area"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments, message, model_folder, picture, capsys):
    with pytest.raises(SystemExit) as ended:
        predict(picture[0], "--checkpoint", model_folder, *arguments)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--point", "1"], "is not X,Y"), (["--point", "1,1,2"], "is not X,Y"), (["--box", "1,x,2,3"], "not numbers")],
)
def test_what_cannot_be_parsed_is_shown(arguments, message, model_folder, picture, capsys):
    with pytest.raises(SystemExit) as ended:
        predict(picture[0], "--checkpoint", model_folder, *arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_files_that_are_missing_or_broken(model_folder, picture, tmp_path, capsys):
    half = tmp_path / "half.safetensors"
    half.write_bytes((model_folder / "model.safetensors").read_bytes()[:1000])
    for arguments, message in [
        ([tmp_path / "nothing.jpg", "--checkpoint", model_folder], "nothing.jpg: no such file"),
        ([picture[0], "--checkpoint", half], "truncated or corrupt"),
        ([picture[0], "--checkpoint", tmp_path / "nothing.pth"], "nothing.pth: no such file"),
        ([picture[0], "--checkpoint", model_folder, "--image-size", 256], "leave the options out"),
    ]:
        with pytest.raises(SystemExit):
            predict(*arguments, "--point", "3,3")
        assert message in capsys.readouterr().err


def test_a_network_without_numbers_is_one_line(model_folder, picture, tmp_path, capsys):
    sam = Sam.from_pretrained(model_folder)
    sam.mask_decoder.iou_token.weight.data.fill_(torch.nan)
    sam.save_pretrained(tmp_path / "broken")
    with pytest.raises(SystemExit) as ended:
        predict(picture[0], "--checkpoint", tmp_path / "broken", "--point", "3,3", "--out", tmp_path / "out")
    assert ended.value.code == 1 and "answers with NaN or infinity" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_everything_and_label(model_folder, picture, tmp_path, capsys):
    torch.manual_seed(0)
    options = ["--checkpoint", str(model_folder), "--only-cpu", "--points-per-side", "2", "--pred-iou-thresh", "0"]
    options += ["--stability-score-thresh", "0"]
    folder = tmp_path / "folder"
    folder.mkdir()
    Image.fromarray(picture[1]).save(folder / "one.png")
    main(["everything", str(folder), *options, "--out", str(tmp_path / "out")])
    found = len(json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"])
    assert found and f"1 pictures with {found} masks" in capsys.readouterr().out
    main(["label", str(folder), *options, "--data-path", str(tmp_path / "data"), "--split", "val"])
    labelled = json.loads((tmp_path / "data" / "annotations" / "val" / "one.json").read_text())
    assert labelled["made_by"]["settings"]["points_per_side"] == 2 and labelled["annotations"]
    main(["label", str(folder), *options, "--data-path", str(tmp_path / "data"), "--split", "val"])
    assert "1 of them labelled before" in capsys.readouterr().out
