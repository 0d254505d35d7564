import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge_sam.arguments import config_from_arguments
from edge_sam.config import RunConfig
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.protocols import EvaluationProtocol, guide_suite
from edge_sam.evaluation.run import (
    _default_output,
    _take_sizes_of_suite,
    build_parser,
    main,
    protocols_from_arguments,
)
from edge_sam.modeling.checkpoints import file_sha256, official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b
from tests.synthetic_coco import COCO_FILE, LVIS_FILE, write_lvis

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "training" / "configs" / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill.yaml")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
SMALL = ["--opts", "DATA.IMG_SIZE", "256", "DATA.NUM_WORKERS", "0"]


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("rep_vit_m1", image_size=256)


@pytest.fixture(scope="module")
def checkpoint(sam, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "student.pth"
    save_state(official_state(sam), path)
    return path


def protocols(*options):
    return protocols_from_arguments(build_parser().parse_args([CONFIG, "--checkpoint", "a.pth", *options]))


def test_options_become_protocols():
    assert protocols() == (EvaluationProtocol(),)
    assert protocols("--prompt-types", "point", "--point-from", "mask-rand", "--refine-iter", "2", "--seed", "3") == (
        EvaluationProtocol("point", "mask-rand", 2, seed=3),
    )
    assert protocols("--num-multimask-outputs", "3", "--multimask-select", "oracle", "--ground-truth", "edgesam") == (
        EvaluationProtocol("box", "point", 0, 3, "oracle", "edgesam"),
    )
    assert protocols("--suite", "guide", "--ground-truth", "edgesam") == guide_suite("edgesam")


def test_columns_of_the_paper():
    """Box, +1, +2 and centre, +1, +2; on LVIS with three masks, too."""
    box, centre = EvaluationProtocol("box", refine_iters=2), EvaluationProtocol("point", "mask-center", 2)
    for dataset in ("sa", "coco"):
        assert protocols("--suite", "paper", "--dataset", dataset) == (box, centre)
    lvis = protocols("--suite", "paper", "--dataset", "lvis")
    assert lvis[:2] == (box, centre) and lvis == protocols("--suite", "paper", "--dataset", "cocofied_lvis")
    assert {protocol.num_multimask_outputs for protocol in lvis[2:]} == {3}
    assert [protocol.rounds for protocol in lvis[2:]] == [("box", "+1", "+2"), ("mask-center", "+1", "+2")]
    given = ("--ground-truth", "edgesam", "--seed", "4", "--boundary")
    for protocol in protocols("--suite", "paper", *given):
        assert (protocol.ground_truth, protocol.seed, protocol.boundary) == ("edgesam", 4, True)


def test_the_paper_takes_1000_images_and_64_masks_unless_told_otherwise():
    def sizes(*options):
        given = build_parser().parse_args([CONFIG, "--checkpoint", "a.pth", *options])
        _take_sizes_of_suite(given)
        return given.num_samples, given.num_instances

    assert sizes("--suite", "paper") == (1000, 64)
    assert sizes("--suite", "paper", "--num-samples", "7", "--num-instances", "3") == (7, 3)
    assert sizes("--suite", "paper", "--dataset", "coco") == (-1, None)
    assert sizes() == sizes("--suite", "guide") == (None, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--suite", "guide", "--refine-iter", "1"], "--refine-iter"),
        (["--point-from", "mask-center"], "--prompt-types point"),
        (["--multimask-select", "oracle"], "--num-multimask-outputs"),
    ],
)
def test_contradictions_are_refused(options, said):
    with pytest.raises(EdgeSamError, match=said):
        protocols(*options)


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main([CONFIG, *(str(argument) for argument in arguments)])
    assert error.value.code == 1
    text = capsys.readouterr().err.strip()
    assert "\n" not in text and text.startswith("error: ")
    return text


@pytest.mark.parametrize(
    ("option", "value"),
    [("--img-bs", 0), ("--max-prompt-bs", 0), ("--num-instances", 0), ("--refine-iter", -1), ("--num-samples", 0)],
)
def test_numbers_out_of_range_are_errors(capsys, photographs, checkpoint, option, value):
    said = fails(capsys, "--checkpoint", checkpoint, "--data-path", photographs, option, value, *SMALL)
    assert str(value) in said


def test_mistakes_of_the_user_are_one_line(capsys, photographs, checkpoint, sam, tmp_path):
    data = ["--data-path", photographs]
    said = fails(capsys, "--checkpoint", checkpoint, *data, "--dataset", "cityscapes", *SMALL)
    assert "cityscapes" in said and "there is sa, coco, lvis, cocofied_lvis" in said
    said = fails(capsys, "--checkpoint", checkpoint, *data, "--dataset", "coco", *SMALL)
    assert "instances_val2017.json: is not there" in said
    assert "no such file" in fails(capsys, "--checkpoint", tmp_path / "none.pth", *data, *SMALL)
    assert "nowhere" in fails(capsys, "--checkpoint", checkpoint, "--data-path", tmp_path / "nowhere", *SMALL)
    assert "--output" in fails(capsys, "--checkpoint", checkpoint, *data, "--output", tmp_path, *SMALL)
    other = fails(capsys, "--checkpoint", checkpoint, *data, *SMALL, "MODEL.TYPE", "rep_vit_m2")
    assert str(checkpoint) in other
    alone = tmp_path / "phase_1.pth"
    torch.save({"model": official_state(sam.image_encoder), "epoch": 9}, alone)
    assert "convert_weights.py" in fails(capsys, "--checkpoint", alone, *data, *SMALL)
    assert not list(tmp_path.glob("*.json")), "nothing is written when nothing was measured"


@pytest.fixture
def damaged(photographs, tmp_path):
    """The picture of number 2 is cut off; numbers 0 and 1 have an annotation without an area."""
    root = shutil.copytree(photographs, tmp_path / "copy")
    cut = root / "images" / "val" / "sa_0_002.jpg"
    cut.write_bytes(cut.read_bytes()[:100])
    for number in (0, 1):
        file = root / "annotations" / "val" / f"sa_0_00{number}.json"
        tree = json.loads(file.read_text())
        tree["annotations"][1]["bbox"] = [0, 0, 0, 0]
        file.write_text(json.dumps(tree))
    return root


def test_too_many_broken_images_are_an_error_and_the_numbers_are_kept(capsys, damaged, checkpoint, tmp_path):
    output = tmp_path / "result.json"
    arguments = ["--checkpoint", checkpoint, "--data-path", damaged, "--num-samples", 3, "--num-instances", 1]
    said = fails(capsys, *arguments, "--output", output, *SMALL)
    assert "1 of 3 images are broken" in said and "MAX_BAD_SHARE" in said and "sa_0_002" in said
    content = json.loads(output.read_text())
    assert content["results"][0]["images"] == 2
    assert [refusal["kind"] for refusal in content["refusals"]] == ["annotation", "annotation", "image"]


def test_broken_annotations_are_listed_and_are_no_broken_images(capsys, damaged, checkpoint, tmp_path):
    output = tmp_path / "result.json"
    arguments = ["--checkpoint", checkpoint, "--data-path", damaged, "--num-samples", 3, "--num-instances", 1]
    # One image in three is broken; with the two whose annotations are, it would be all.
    main([CONFIG, "--output", str(output), *map(str, arguments), *SMALL, "DATA.MAX_BAD_SHARE", "0.5"])
    assert "2 of kind annotation, 1 of kind image" in capsys.readouterr().out
    assert json.loads(output.read_text())["results"][0]["images"] == 2


def test_raw_training_checkpoint_and_safetensors_give_the_same(capsys, photographs, checkpoint, sam, tmp_path):
    raw = tmp_path / "ckpt_epoch_4.pth"
    torch.save({"model": official_state(sam), "epoch": 4, "optimizer": {"state": {}}}, raw)
    converted = tmp_path / "student.safetensors"
    save_state(official_state(sam), converted)
    contents, output = [], tmp_path / "result.json"
    for path in (checkpoint, raw, converted):
        arguments = ["--checkpoint", path, "--data-path", photographs, "--num-samples", 2, "--output", output]
        main([CONFIG, *map(str, arguments), *SMALL])
        contents.append(json.loads(output.read_text()))
    lines = [content["results"][0].pop("line") for content in contents]
    assert contents[0]["results"] == contents[1]["results"] == contents[2]["results"]
    assert (
        f"checkpoint {file_sha256(raw)[:12]} (rep_vit_m1, 256 px, bicubic upsampling; float32), data " in lines[1]
        and len(set(lines)) == 3
    )
    assert contents[1]["checkpoint"] == {"path": str(raw), "sha256": file_sha256(raw)}
    said = capsys.readouterr().out
    assert "ground truth exact (" in said and "float32" in said and "2 images" in said


def test_every_measurement_has_a_file_of_its_own():
    def output(*options):
        given = build_parser().parse_args([CONFIG, "--checkpoint", "a/b.pth", *options])
        return str(_default_output(given, protocols_from_arguments(given), config_from_arguments(given)))

    point = ("--prompt-types", "point", "--point-from", "mask-center")
    several = ("--num-multimask-outputs", "3", "--multimask-select", "oracle")
    assert output() == "a/b.box_exact.mIoU.json"
    assert output(*point, "--refine-iter", "2") == "a/b.mask-center+2_exact.mIoU.json"
    assert output(*several, "--ground-truth", "edgesam") == "a/b.box_oracle-of-3_edgesam.mIoU.json"
    assert output("--dataset", "lvis", "--boundary") == "a/b.lvis_box_exact_boundary.mIoU.json"
    assert output("--suite", "guide") == "a/b.guide_exact.mIoU.json"
    assert output("--suite", "guide", "--ground-truth", "edgesam") == "a/b.guide_edgesam.mIoU.json"
    assert output("--suite", "paper", "--dataset", "lvis") == "a/b.lvis_paper_exact.mIoU.json"
    assert output("--suite", "paper") == "a/b.paper_exact.mIoU.json"
    assert output("--seed", "5") == "a/b.box_exact.mIoU.json", "a box is no chance"


def test_no_choice_of_data_overwrites_another(tmp_path, monkeypatch):
    def output(*options):
        given = build_parser().parse_args([CONFIG, "--checkpoint", "a/b.pth", "--refine-iter", "1", *options])
        return _default_output(given, protocols_from_arguments(given), config_from_arguments(given)).name

    listed = ("--image-list", str(tmp_path / "three.txt"))
    choices = [
        (), ("--num-samples", "10"), ("--num-samples", "11"), ("--num-instances", "10"), ("--seed", "10"), listed,
        ("--image-list", "four.txt"), ("--opts", "DATA.NUM_SAMPLES", "12"), ("--image-list", "other/four.txt"),
        ("--data-path", "a"), ("--data-path", "b"), ("--data-path", "a", "--num-samples", "10"),
        ("--opts", "AMP_ENABLE", "True"),
    ]  # fmt: skip
    names = [output(*choice) for choice in choices]
    assert len(set(names)) == len(choices) and names[0] == "b.box+1_exact.mIoU.json"
    assert all(re.fullmatch(r"b\.box\+1_exact_[0-9a-f]{8}\.mIoU\.json", name) for name in names[1:])
    assert output("--opts", "DATA.NUM_SAMPLES", "10") == names[1]
    monkeypatch.chdir(tmp_path)
    assert output("--data-path", str(tmp_path / "a")) == output("--opts", "DATA.DATA_PATH", "x/../a")
    assert output("--data-path", "datasets/SA-1B") == names[0], "as if it were not given"
    coco = [output("--dataset", "coco", *choice) for choice in ((), ("--data-path", "datasets"), ("--data-path", "a"))]
    assert coco[0] == coco[1] == "b.coco_box+1_exact.mIoU.json" != coco[2]
    assert output(*listed, "--num-samples", "3") == output(*listed), (
        "the run that writes a list, and those that take it"
    )


def test_mixed_ways_to_upsample_are_refused_before_anything_is_measured(capsys, photographs, sam, tmp_path):
    path = tmp_path / "ckpt_epoch_4.pth"
    settings = RunConfig(DATA={"IMG_SIZE": 256}, DISTILL={"UPSAMPLE_MODE": "bilinear"}).model_dump(mode="json")
    torch.save({"model": official_state(sam), "config": settings}, path)
    said = fails(capsys, "--checkpoint", path, "--data-path", photographs, *SMALL)
    assert "add --opts DISTILL.UPSAMPLE_MODE bilinear" in said


def test_a_list_pins_the_images(capsys, photographs, checkpoint, tmp_path):
    """The first run writes it, later ones take it; its hash stands in the line."""
    pinned, output = tmp_path / "lists" / "three.txt", tmp_path / "result.json"

    def measure(*options):
        arguments = ["--checkpoint", checkpoint, "--data-path", photographs, "--num-instances", "1", *options]
        main([CONFIG, *map(str, arguments), "--output", str(output), *SMALL])
        return json.loads(output.read_text())

    first = measure("--image-list", pinned, "--num-samples", "3")
    assert pinned.read_text().split() == ["sa_0_000", "sa_0_001", "sa_0_002"]
    assert "three.txt: written, 3 images" in capsys.readouterr().out
    again = measure("--image-list", pinned)
    assert again["results"] == first["results"]
    assert f"images of three.txt (sha256 {file_sha256(pinned)[:12]}), first 1 masks" in again["results"][0]["line"]
    pinned.write_text("sa_0_005\nsa_0_001\n")
    other = measure("--image-list", pinned)["results"][0]
    assert other["images"] == 2 and other["data_sha256"] != first["results"][0]["data_sha256"]

    data = ["--checkpoint", checkpoint, "--data-path", photographs, "--image-list", pinned]
    assert "leave out --num-samples" in fails(capsys, *data, "--num-samples", 3, *SMALL)
    pinned.write_text("sa_0_005\nsa_9_999\n")
    assert "lacks 1 of the 2 listed images, e.g. sa_9_999" in fails(capsys, *data, *SMALL)
    assert "--image-list" in fails(capsys, *data[:-1], tmp_path / "result.json" / "a.txt", *SMALL)


def test_what_is_left_out_is_told(capsys, photographs, checkpoint, tmp_path):
    root = shutil.copytree(photographs, tmp_path / "copy")
    (root / "annotations" / "val" / "sa_0_001.json").unlink()
    (root / "images" / "val" / "sa_0_006.jpg").unlink()
    output = tmp_path / "result.json"
    arguments = ["--checkpoint", checkpoint, "--data-path", root, "--num-samples", "3", "--num-instances", "1"]
    main([CONFIG, *map(str, arguments), "--output", str(output), *SMALL])
    left_out = "1 images without an annotation, 1 annotation files of the split without an image"
    assert f"2 images of sa, val split\n  left out: {left_out}\n" in capsys.readouterr().out
    content = json.loads(output.read_text())
    assert list(content["data"]["left_out"].values()) == [1, 1]
    assert ": sa, first 3 images by name, first 1 masks of each, 2 images" in content["results"][0]["line"]


@pytest.mark.slow
def test_script_measures_the_columns_of_the_paper(checkpoint, tmp_path):
    """SA-1K, COCO and LVIS, each of it kept beside the checkpoint; what is not there is told."""
    write_lvis(tmp_path / "datasets", 2)
    write_sa1b(tmp_path / "datasets" / "SA-1B", "val", 2, size=(150, 200))
    copied = shutil.copy(checkpoint, tmp_path / "student.pth")

    def run():
        return subprocess.run(
            ["bash", ROOT / "scripts" / "eval_mIoU.sh", CONFIG, copied, "--only-cpu", "--num-instances", "1", *SMALL],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr[-3000:]
    columns = {}
    for dataset, file in (("sa", ""), ("coco", "coco_"), ("lvis", "lvis_")):
        (written,) = tmp_path.glob(f"student.{file}paper_exact_*.mIoU.json")
        content = json.loads(written.read_text())
        assert content["data"]["dataset"] == dataset
        columns[dataset] = [(one["protocol"]["name"], len(one["miou"])) for one in content["results"]]
    assert columns["sa"] == columns["coco"] == columns["lvis"][:2] == [("box", 3), ("mask-center", 3)]
    assert columns["lvis"][2:] == [("box, score of 3", 3), ("mask-center, score of 3", 3)]
    pinned = tmp_path / "datasets" / "sa_1k.txt"
    assert pinned.read_text().split() == ["sa_0_000", "sa_0_001"]
    assert f"images of sa_1k.txt (sha256 {file_sha256(pinned)[:12]})" in " ".join(done.stdout.split())
    shutil.rmtree(tmp_path / "datasets" / "lvis")
    (tmp_path / "datasets" / "coco" / "annotations" / "instances_val2017.json").unlink()
    done = run()
    assert done.returncode == 0 and "coco: left out, datasets/coco/annotations" in done.stderr
    assert "lvis: left out, datasets/lvis/lvis_v1_val.json is not there" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("extra", [[], ["--prompt-types", "point", "--ground-truth", "edgesam"]])
def test_script_measures_one_data_set_where_it_is_named(photographs, checkpoint, tmp_path, extra):
    output = tmp_path / "result.json"
    options = ["--data-path", photographs, "--num-samples", "2", "--num-instances", "2", "--output", output]
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "eval_mIoU.sh", CONFIG, checkpoint, *options, *extra, *SMALL],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads(output.read_text())
    names = [result["protocol"]["name"] for result in content["results"]]
    assert names == (["point"] if extra else ["box", "mask-center"])
    assert f"ground truth {'edgesam' if extra else 'exact'} (" in done.stdout
    assert f"{content['results'][0]['miou'][0]:.4f}" in done.stdout


@pytest.fixture
def measured(tmp_path):
    """Calls the script with a Python that only writes down which command it was given, and fails on one data set."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls.txt\n'
        'case "$FAILING,$@" in ,*) ;; *"--dataset $FAILING"*) exit 3 ;; esac\n'
    )
    python.chmod(0o755)
    for file in (COCO_FILE, LVIS_FILE):
        (tmp_path / "datasets" / file).parent.mkdir(parents=True)
        (tmp_path / "datasets" / file).write_text("{}")
    environment = ENVIRONMENT | {"PATH": f"{python.parent}:{os.environ['PATH']}"}

    def call(*options, status=0, **variables):
        (tmp_path / "calls.txt").unlink(missing_ok=True)
        arguments = ["bash", ROOT / "scripts" / "eval_mIoU.sh", "a.yaml", "b.pth", "--only-cpu", *options]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment | variables, check=False)
        assert done.returncode == status
        calls = (tmp_path / "calls.txt").read_text().splitlines()
        return [build_parser().parse_args(line.split("eval_mIoU.py ")[1].split()) for line in calls]

    return call


@pytest.mark.parametrize("option", [("--image-list", "some.txt"), ("--image-list=some.txt",)])
def test_script_hands_a_list_of_images_to_one_data_set_alone(measured, option):
    """The names of one data set's images are none of another's."""
    everything = measured()
    assert [one.dataset for one in everything] == ["sa", "coco", "lvis"]
    assert [one.image_list and one.image_list.name for one in everything] == ["sa_1k.txt", None, None]
    (sa,) = measured(*option)
    (coco,) = measured(*option, "--dataset", "coco")
    for one, dataset in ((sa, "sa"), (coco, "coco")):
        assert (one.dataset, str(one.image_list), one.suite) == (dataset, "some.txt", "paper")


@pytest.mark.parametrize("failing", ["sa", "coco", "lvis"])
def test_script_goes_on_after_a_failure_and_ends_with_it(measured, failing):
    assert [one.dataset for one in measured(FAILING=failing, status=3)] == ["sa", "coco", "lvis"]


@pytest.mark.parametrize("name", ["coco", "lvis", "cocofied_lvis"])
def test_script_reads_a_named_data_set_where_datasets_says(measured, name):
    for option in (("--dataset", name), (f"--dataset={name}",)):
        (one,) = measured(*option, DATASETS="elsewhere")
        assert (one.dataset, one.data_path) == (name, "elsewhere")
        for given in (("--data-path", "here"), ("--data-path=here",)):
            (one,) = measured(*option, *given, DATASETS="elsewhere")
            assert one.data_path == "here"
    (sa,) = measured("--dataset", "sa", DATASETS="elsewhere")
    assert sa.data_path is None
    (failed,) = measured("--dataset", name, FAILING=name, status=3)
    assert failed.data_path == "datasets"


def test_script_without_its_arguments_says_how_it_is_called():
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "eval_mIoU.sh", CONFIG], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("usage:")
