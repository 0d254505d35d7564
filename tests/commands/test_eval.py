import json
import shutil

import pytest

from edge_sam.cli import main
from tests.synthetic import write_sa1b


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sa1b(tmp_path_factory.mktemp("eval") / "data" / "SA-1B", "val", 2, size=(60, 80)).parent


def evaluate(*arguments):
    main(["eval", "--only-cpu", "--workers", "0", *map(str, arguments)])


@pytest.mark.slow
def test_a_model_is_measured_and_told_with_its_line(model_folder, data, tmp_path, capsys):
    folder = tmp_path / "out"
    evaluate(f"mine={model_folder}", "--data-path", data, "--num-images", 1, "--max-instances", 2, "--output", folder)
    said = capsys.readouterr().out
    assert "mine: rep_vit_m1, 256 px" in said and "written to" in said and "box then 2 clicks" in said
    content = json.loads((folder / "report.json").read_text())
    assert content["models"][0]["name"] == "mine" and content["models"][0]["precision"] == "float32"
    assert [(one["images"], one["instances"]) for one in content["comparisons"]] == [(1, 2), (1, 2)]
    assert (folder / "report.html").is_file()


def test_too_many_broken_images_are_an_error_after_the_numbers(model_folder, data, tmp_path, capsys):
    copied = shutil.copytree(data, tmp_path / "data")
    (copied / "SA-1B" / "images" / "val" / "sa_0_001.jpg").write_bytes(b"no picture")
    folder = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        evaluate(model_folder, "--data-path", copied, "--max-instances", 1, "--cases", 0, "--output", folder)
    captured = capsys.readouterr()
    assert ended.value.code == 1 and "1 of 2 images are broken, more than DATA.MAX_BAD_SHARE = 0.05" in captured.err
    assert "sa, box: 1 images or annotations could not be read: sa_0_001" in captured.out
    assert json.loads((folder / "report.json").read_text())["comparisons"][0]["images"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "nothing"], "--suite nothing: no such suite"),
        (["--dataset", "nothing"], "--dataset nothing: no such data set"),
        (["--num-images", 0], "--num-images 0: must be at least 1"),
        (["--workers", -1], "--workers -1: must be at least 0"),
        (["--data-path", "nowhere"], "nowhere: no such folder"),
        (["--image-list", "absent.txt"], "absent.txt: is not there, and edgesam eval only reads such a list"),
    ],
)
def test_what_cannot_be_done_is_one_line(model_folder, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        evaluate(model_folder, "--output", tmp_path, *arguments)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate(tmp_path / "nothing.pth")
    assert "nothing.pth: no such file" in capsys.readouterr().err
