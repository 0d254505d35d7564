"""The command: a table and JSON with the protocol's line, errors in one line; mean IoU on the same files."""

import json
import re
import shutil

import pytest
import torch
from rich.console import Console

from edge_sam.arguments import config_from_arguments
from edge_sam.data.sa1b import Refusal
from edge_sam.evaluation.ap_protocol import ApProtocol
from edge_sam.evaluation.average_precision import ApResult
from edge_sam.evaluation.coco_scoring import AveragePrecision
from edge_sam.evaluation.run import main as measure_iou
from edge_sam.evaluation.run_average_precision import _default_output, build_parser, main, render_result
from edge_sam.modeling.checkpoints import file_sha256, official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.evaluation.test_run import CONFIG, SMALL
from tests.synthetic_coco import COCO_FILE, read_tree, write_coco, write_lvis


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "student.pth"
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("coco"), 3)


def arguments(checkpoint, root, *more):
    return [CONFIG, "--checkpoint", str(checkpoint), "--data-path", str(root), *map(str, more), *SMALL]


def fails(capsys, *given):
    with pytest.raises(SystemExit) as error:
        main(arguments(*given))
    assert error.value.code == 1
    text = capsys.readouterr().err.strip()
    assert "\n" not in text and text.startswith("error: ")
    return text


def test_detector_boxes_give_a_table_and_json(capsys, checkpoint, root, tmp_path):
    boxes = tmp_path / "vitdet.json"
    entries = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.5}
        for one in read_tree(root / COCO_FILE)["annotations"]
    ]
    boxes.write_text(json.dumps(entries))
    output = tmp_path / "ap.json"
    main(arguments(checkpoint, root, "--boxes", boxes, "--boundary", "--output", output))
    assert json.loads(output.read_text())["boxes_not_used"] == []
    content, said = json.loads(output.read_text()), capsys.readouterr().out
    assert set(content["average_precision"]) == {"mask", "boundary"}
    assert set(content["average_precision"]["mask"]) == {"AP", "AP50", "AP75", "APs", "APm", "APl"}
    assert content["boxes"] == len(entries) and content["images"] == 3 and content["crowds"] == 2
    assert content["checkpoint"]["sha256"] == file_sha256(checkpoint)
    for part in ("vitdet.json (sha256 ", content["checkpoint"]["sha256"][:12], content["data_sha256"][:12], "3 images"):
        assert part in content["line"] and part in " ".join(said.split())
    for part in ("(rep_vit_m1, 256 px, bicubic upsampling; float32)", ": coco, all images"):
        assert part in content["line"] and part in " ".join(said.split())
    assert content["protocol"]["line"] in content["line"]
    assert f"{content['average_precision']['mask']['AP']:.4f}" in said and "boundary" in said
    interval = content["interval"]
    assert (interval["share"], interval["draws"], interval["seed"]) == (0.95, 1000, 0)
    low, high = interval["mask"]["AP50"]
    assert 0 <= low <= high <= 1 and f"{low:.4f}" in said and f"{high:.4f}" in said
    assert set(interval["boundary"]) == set(interval["mask"]) == set(content["average_precision"]["mask"])
    assert "95% interval by image (bootstrap, 1000 draws, seed 0)" in " ".join(said.split())


def test_ground_truth_boxes_on_lvis(capsys, checkpoint, tmp_path):
    write_lvis(tmp_path, 2)
    copied = shutil.copy(checkpoint, tmp_path / "a.pth")
    main(arguments(copied, tmp_path, "--boxes", "ground-truth", "--dataset", "lvis"))
    (written,) = tmp_path.glob("a.lvis_ground-truth_*.AP.json")
    content = json.loads(written.read_text())
    assert {"APr", "APc", "APf"} < set(content["average_precision"]["mask"])
    assert "LVIS rules" in content["line"] and content["boxes"] == content["objects"]
    assert "APr" in capsys.readouterr().out


def test_boxes_that_stray_or_are_not_used_are_told(capsys, checkpoint, root, tmp_path):
    entry = {"image_id": 101, "category_id": 1, "bbox": [9, 9, 50, 50], "score": 0.5}
    strayed = entry | {"bbox": [300, 9, 50, 50], "score": 0.9}
    boxes, output = tmp_path / "boxes.json", tmp_path / "ap.json"
    boxes.write_text(json.dumps([*[entry] * 20, strayed, entry | {"image_id": 103}]))
    main(arguments(checkpoint, root, "--boxes", boxes, "--num-samples", 2, "--output", output))
    content, said = json.loads(output.read_text()), " ".join(capsys.readouterr().out.split())
    assert content["boxes_out_of_picture"] == [{"image_id": "sa_0_000", "box": 0}] and content["boxes"] == 21
    assert content["boxes_not_used"] == [{"image": 103, "boxes": 1}]
    assert "1 boxes whose middle is out of the picture, asked for as they are: sa_0_000 box 0" in said
    assert "1 boxes of 1 images that are not measured left out: image 103 (1)" in said


def test_names_with_brackets_are_printed_as_they_are(capsys):
    count = AveragePrecision({"AP": 0.5}, {"AP": None}, {"AP": None})
    refusals = (Refusal("d[red]", "polygon [none]"),)
    result = ApResult(
        ApProtocol("boxes[/v2].json"),
        count,
        None,
        1,
        1,
        0,
        1,
        0,
        (),
        (("e[/f]", 2),),
        (("b[/c]", 0),),
        (),
        refusals,
        "d" * 64,
    )
    Console(width=400).print(render_result(result, "checkpoint c", "all images"))
    said = capsys.readouterr().out
    assert all(
        name in said for name in ("boxes[/v2].json", "b[/c] box 0", "image e[/f] (2)", "d[red] (polygon [none])")
    )


def test_mistakes_of_the_user_are_one_line(capsys, checkpoint, root, tmp_path):
    truth = ("--boxes", "ground-truth")
    assert "coco/annotations/instances_val2017.json" in fails(capsys, checkpoint, tmp_path, *truth)
    assert "cannot be read" in fails(capsys, checkpoint, root, "--boxes", tmp_path / "absent.json")
    assert "--num-multimask-outputs" in fails(capsys, checkpoint, root, *truth, "--multimask-select", "area")
    assert "--img-bs 0" in fails(capsys, checkpoint, root, *truth, "--img-bs", 0)
    assert "--output" in fails(capsys, checkpoint, root, *truth, "--output", tmp_path)
    assert "number of samples is 0" in fails(capsys, checkpoint, root, *truth, "--num-samples", 0)


def test_too_many_broken_images_are_an_error_and_the_numbers_are_kept(capsys, checkpoint, root, tmp_path):
    copied = shutil.copytree(root, tmp_path / "copy")
    (copied / "coco" / "val2017" / "sa_0_001.jpg").write_bytes(b"")
    output = tmp_path / "ap.json"
    said = fails(capsys, checkpoint, copied, "--boxes", "ground-truth", "--output", output)
    assert "1 of 3 images are broken" in said and "sa_0_001" in said
    assert json.loads(output.read_text())["images"] == 2


def test_every_measurement_has_a_file_of_its_own():
    def output(*options):
        given = build_parser().parse_args([CONFIG, "--checkpoint", "a/b.pth", *options])
        return str(_default_output(given, config_from_arguments(given)))

    detected = [output("--boxes", f"{folder}/vitdet.json") for folder in "xy"]
    assert all(re.fullmatch(r"a/b\.coco_vitdet_[0-9a-f]{8}\.AP\.json", name) for name in detected)
    assert detected[0] != detected[1] and detected[0] == output("--boxes", "y/../x/vitdet.json")
    several = ("--num-multimask-outputs", "4", "--multimask-select", "stability", "--ranking", "box-x-iou")
    assert output("--boxes", "ground-truth", *several) == "a/b.coco_ground-truth_stability-of-4_box-x-iou.AP.json"
    truth = ("--boxes", "ground-truth")
    assert output(*truth, "--boundary") == "a/b.coco_ground-truth_boundary.AP.json"
    choices = [
        (), ("--num-samples", "10"), ("--num-samples", "11"), ("--image-list", "ten.txt"), ("--data-path", "a"),
        ("--data-path", "b"), ("--opts", "AMP_ENABLE", "True"),
    ]  # fmt: skip
    names = [output(*truth, *choice) for choice in choices]
    assert len(set(names)) == len(choices) and names[0] == "a/b.coco_ground-truth.AP.json"
    assert all(re.fullmatch(r"a/b\.coco_ground-truth_[0-9a-f]{8}\.AP\.json", name) for name in names[1:])


@pytest.mark.parametrize("point", [[], ["--prompt-types", "point"]])
def test_mean_iou_on_coco(capsys, checkpoint, root, tmp_path, point):
    output = tmp_path / "miou.json"
    measure_iou(arguments(checkpoint, root, "--dataset", "coco", "--boundary", "--output", output, *point))
    content = json.loads(output.read_text())
    entries = read_tree(root / COCO_FILE)["annotations"]
    assert content["results"][0]["instances"] == sum(not one["iscrowd"] for one in entries)
    assert content["results"][0]["images"] == 2 and content["data"]["dataset"] == "coco"
    assert 0 <= content["results"][0]["boundary_miou"][0] <= 1
    assert "2 images of coco" in capsys.readouterr().out
