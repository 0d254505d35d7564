import json

import pytest
import yaml

from edge_sam.config import load_config
from edge_sam.data.sa1b import Refusal
from edge_sam.distill.run_folder import RunFolder
from tests.distill.conftest import ALONE, PHASE_1, ROOT


@pytest.fixture
def config(tmp_path):
    opts = ("OUTPUT", str(tmp_path), "TAG", "t")
    return load_config(ROOT / "training" / "configs" / f"{PHASE_1}.yaml", opts=opts)


@pytest.fixture
def folder(config):
    folder = RunFolder(config, ALONE)
    folder.begin(0, 10)
    yield folder
    folder.close()


def lines(folder, name):
    return [json.loads(line) for line in (folder.path / name).read_text().splitlines()]


def test_place_and_resolved_configuration(folder, config, tmp_path):
    assert folder.path == tmp_path / PHASE_1 / "t"
    assert load_config(folder.path / "config.yaml") == config
    assert yaml.safe_load((folder.path / "config.yaml").read_text())["NAME"] == PHASE_1


def test_lines_are_printed_and_kept(folder, capsys):
    folder.say("hello [bold]you[/bold]")
    assert capsys.readouterr().out == "hello [bold]you[/bold]\n"
    assert (folder.path / "log.txt").read_text().endswith(" hello [bold]you[/bold]\n")


def test_metrics_of_steps_that_were_lost_are_dropped(folder, config):
    for step in range(1, 6):
        folder.record(step, 0, "train", {"loss": 1.0 / step})
    folder.record(5, 0, "miou", {"box": 0.5})
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "epo')  # cut short by a kill
    again = RunFolder(config, ALONE)
    again.begin(3, 10)
    assert [line["step"] for line in lines(again, "metrics.jsonl")] == [1, 2, 3]
    assert lines(again, "metrics.jsonl")[0] == {"step": 1, "epoch": 0, "train/loss": 1.0}
    assert again.has_record(3, "train") and not again.has_record(3, "miou") and not again.has_record(5, "train")
    again.close()


def test_curves_are_in_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder.record(1, 0, "train", {"loss": 0.5})
    folder.record(1, 0, "miou", {"box": 0.25})
    folder.close()
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert events.Scalars("train/loss")[0].value == 0.5
    assert events.Scalars("miou/box")[0].value == 0.25


def test_refusals_are_listed_once(folder, config):
    broken = [Refusal("a", "truncated"), Refusal("a", "truncated"), Refusal("b", "bad mask", "annotation")]
    assert folder.refuse(broken) == 1
    assert folder.refuse([Refusal("c", "small", "filtered"), Refusal("a", "truncated")]) == 1
    again = RunFolder(config, ALONE)
    again.begin(0, 10)
    assert again.refuse([Refusal("b", "bad mask", "annotation"), Refusal("d", "gone")]) == 2
    assert [(line["image_id"], line["kind"]) for line in lines(again, "refused.jsonl")] == [
        ("a", "image"),
        ("b", "annotation"),
        ("c", "filtered"),
        ("d", "image"),
    ]
    again.close()


def test_the_best_checkpoint_is_marked(folder, config):
    for epoch, (score, better) in enumerate([(0.4, True), (0.6, True), (0.5, False)]):
        (folder.path / f"ckpt_epoch_{epoch}.pth").write_text(str(epoch))
        assert folder.mark_best(f"ckpt_epoch_{epoch}.pth", 10 * (epoch + 1), epoch, score) is better
    assert folder.best() == {"checkpoint": "ckpt_epoch_1.pth", "step": 20, "epoch": 1, "miou": 0.6}
    assert (folder.path / "ckpt_best.pth").read_text() == "1"
    again = RunFolder(config, ALONE)
    again.begin(10, 30)
    assert again.best() is None
    again.close()


def test_a_run_that_cannot_begin_leaves_nothing(config, tmp_path):
    folder = RunFolder(config, ALONE)
    folder.say("first words")
    assert not (tmp_path / PHASE_1).exists()
    folder.begin(0, 10)
    assert "first words" in (folder.path / "log.txt").read_text()
    folder.close()
