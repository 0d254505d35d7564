import re
import subprocess
import sys
from shutil import copyfile

import pytest
import torch

from edge_sam.cli import main
from edge_sam.demo.chain import ROOT
from edge_sam.demo.plan import FULL, QUICK
from edge_sam.demo.tour import OUTPUTS, run_tour
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state, read_state, save_state, split_state
from edge_sam.modeling.network_settings import network_settings_note
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b

NETWORK = {
    "MODEL": {"TYPE": "rep_vit_m1"},
    "DATA": {"IMG_SIZE": 256},
    "DISTILL": {"FUSE": True, "UPSAMPLE_MODE": "bicubic"},
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_state(official_state(build_sam("rep_vit_m1", 256)), path, network_settings_note(NETWORK))
    return path


@pytest.mark.slow
def test_the_quick_demo_goes_from_nothing_to_the_page_and_resumes(tmp_path, teacher, capfd):
    arguments = ["demo", "--quick", "--teacher", str(teacher), "--output", str(tmp_path / "out")]
    main(arguments)
    said = capfd.readouterr().out
    table = said.split("images not learnt from")[1].splitlines()
    assert [name.strip() for name in table[2].split("┃")[1:-1]] == ["prompt", "teacher", "phase 1", "phase 2"]
    prompts = [line.split("│")[1].strip() for line in table if line.startswith("│")]
    assert prompts == [
        "box", "box +1", "box +2", "point", "mask-center", "mask-center +1", "mask-center +2",
        "mask-center, oracle of 3",
    ]  # fmt: skip
    commands = re.findall(r"^\$ (.*)$", said, flags=re.MULTILINE)
    assert [f"[{number}/11]" for number in range(1, 12)] == re.findall(r"^\[\d+/11\]", said, flags=re.MULTILINE)
    assert sum("TRAIN.SAVE_STEPS 20" in command for command in commands) == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('<figure class="example">') == QUICK.examples
    assert page.count("<pre tabindex") == len(commands) + 1  # and how the student is used

    assert {path.name for path in (tmp_path / "out").iterdir()} == {*OUTPUTS, "tour.json"}

    (tmp_path / "out" / "report.html").unlink()
    lost = next((tmp_path / "out" / "evaluation").glob("phase_2*.json"))
    measured = lost.read_text()
    lost.unlink()
    main(arguments)
    again = capfd.readouterr().out
    assert re.findall(r"^\$ (.*)$", again, flags=re.MULTILINE) == commands
    assert again.count("done before") == len(commands) - 1
    assert lost.read_text() == measured
    assert (tmp_path / "out" / "report.html").is_file()

    with pytest.raises(EdgeSamError, match=r"holds a tour with other sizes: choose another --output"):
        run_tour(None, teacher, tmp_path / "out", FULL)


def test_a_teacher_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EdgeSamError, match=r"nowhere\.safetensors: no such teacher checkpoint; edgesam demo --teacher"):
        run_tour(None, tmp_path / "nowhere.safetensors", tmp_path / "out", QUICK)


def test_a_teacher_that_does_not_tell_its_network_is_refused(tmp_path):
    save_state({"a": torch.zeros(1)}, tmp_path / "teacher.pth")
    with pytest.raises(EdgeSamError, match=r"teacher\.pth: does not tell its DATA\.IMG_SIZE, DISTILL\.FUSE"):
        run_tour(None, tmp_path / "teacher.pth", tmp_path / "out", QUICK)


def test_an_encoder_alone_is_no_teacher(tmp_path, teacher):
    encoder = split_state(read_state(teacher))["image_encoder"]
    save_state(encoder, tmp_path / "encoder.safetensors", network_settings_note(NETWORK))
    with pytest.raises(EdgeSamError, match=r"encoder\.safetensors: holds no prompt encoder and no mask decoder: "):
        run_tour(None, tmp_path / "encoder.safetensors", tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_not_of_a_tour_is_not_written_over(tmp_path, teacher, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(EdgeSamError, match=rf"holds {name}, not of a tour, which would be written over"):
        run_tour(None, teacher, tmp_path, QUICK)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", ["[1, 2]", "null", "{"])
def test_a_note_that_is_no_tour_s_is_refused(tmp_path, teacher, content):
    (tmp_path / "tour.json").write_text(content)
    with pytest.raises(EdgeSamError, match=r"cannot be used \(.*\); --output names another place"):
        run_tour(None, teacher, tmp_path, QUICK)


def test_too_few_images_are_refused_before_anything_is_written(tmp_path, teacher):
    data = write_sa1b(write_sa1b(tmp_path / "data", "train", QUICK.batch_size - 1), "val", 1, seed=1)
    with pytest.raises(EdgeSamError, match=rf"{QUICK.batch_size - 1} usable images in the train split"):
        run_tour(data, teacher, tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


def test_given_images_that_are_broken_or_in_both_splits_are_refused_before_anything_is_written(tmp_path, teacher):
    data = write_sa1b(write_sa1b(tmp_path / "data", "train", QUICK.batch_size), "val", 1)
    for kind, ending in (("images", "jpg"), ("annotations", "json")):
        copyfile(data / kind / "train" / f"sa_0_000.{ending}", data / kind / "val" / f"sa_0_000.{ending}")
    with pytest.raises(EdgeSamError, match=r"1 of 1 images to measure on are learnt from, too"):
        run_tour(data, teacher, tmp_path / "out", QUICK)
    (data / "images" / "train" / "sa_0_000.jpg").write_bytes(b"no image")
    write_sa1b(data, "train", 1, seed=2)
    with pytest.raises(EdgeSamError, match=r"1 of 5 images of the train split are broken"):
        run_tour(data, teacher, tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_teacher_of_another_network_than_its_file_says_is_refused(tmp_path, teacher, capfd):
    data = write_sa1b(write_sa1b(tmp_path / "data", "train", QUICK.batch_size), "val", 1, seed=1)
    wrong = tmp_path / "wrong.safetensors"
    note = network_settings_note({**NETWORK, "MODEL": {"TYPE": "rep_vit_m2"}})
    save_state(official_state(build_sam("rep_vit_m1", 256)), wrong, note)
    with pytest.raises(EdgeSamError, match=r"save_embedding\.py ended with status 1"):
        run_tour(data, wrong, tmp_path / "out", QUICK)
    assert "wrong.safetensors" in capfd.readouterr().err


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "edge_sam", "--version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("edgesam ")
