import json
import sys
from types import SimpleNamespace

import pytest
import yaml

from edge_sam.config import load_config
from edge_sam.data.sa1b import Refusal
from edge_sam.distill.run_folder import Progress, RunFolder, _start_wandb
from edge_sam.errors import EdgeSamError
from tests.distill.conftest import ALONE, PHASE_1, ROOT
from tests.lock_holder import held_by_another_process

START = Progress(0, 0, 0)


def after(step, epoch=0):
    """Steps of 4 images."""
    return Progress(step, 4 * step, epoch)


@pytest.fixture
def config(tmp_path):
    opts = ("OUTPUT", str(tmp_path), "TAG", "t")
    return load_config(ROOT / "training" / "configs" / f"{PHASE_1}.yaml", opts=opts)


@pytest.fixture
def folder(config):
    folder = RunFolder(config, ALONE)
    folder.begin(START, 10)
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
        folder.record(after(step), "train", {"loss": 1.0 / step})
    folder.record(after(5), "miou", {"mean": 0.5})
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "epo')  # cut short by a kill
    again = RunFolder(config, ALONE)
    assert folder.has_score(0) and not folder.has_score(1)
    again.begin(Progress(9, 12, 0), 10)  # steps are smaller now
    assert [line["step"] for line in lines(again, "metrics.jsonl")] == [1, 2, 3]
    assert lines(again, "metrics.jsonl")[0] == {"step": 1, "images": 4, "epoch": 0, "train/loss": 1.0}
    assert not again.has_score(0)
    again.close()


def test_curves_are_in_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder.record(after(1), "train", {"loss": 0.5})
    folder.record(after(1), "miou", {"box": 0.25})
    folder.close()
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert (events.Scalars("train/loss")[0].step, events.Scalars("train/loss")[0].value) == (4, 0.5)
    assert events.Scalars("miou/box")[0].value == 0.25


def test_refusals_are_listed_once(folder, config):
    broken = [Refusal("a", "truncated"), Refusal("a", "truncated"), Refusal("b", "bad mask", "annotation")]
    assert folder.refuse(broken, "train") == 1
    assert folder.refuse([Refusal("c", "small", "filtered"), Refusal("a", "truncated")], "train") == 1
    assert folder.refuse([Refusal("a", "truncated")], "val") == 1
    again = RunFolder(config, ALONE)
    again.begin(START, 10)
    assert again.refuse([Refusal("b", "bad mask", "annotation"), Refusal("d", "gone")], "train") == 2
    assert [(line["split"], line["image_id"], line["kind"]) for line in lines(again, "refused.jsonl")] == [
        ("train", "a", "image"),
        ("train", "b", "annotation"),
        ("train", "c", "filtered"),
        ("val", "a", "image"),
        ("train", "d", "image"),
    ]
    again.close()


def test_what_was_left_out_is_said_where_it_grew(folder, capsys):
    folder.say_refusals()
    assert not capsys.readouterr().out
    folder.refuse([Refusal("a", "truncated"), Refusal("b", "bad mask", "annotation")], "train")
    folder.say_refusals()
    folder.say_refusals()
    assert capsys.readouterr().out.count("left out so far: 1 broken images, 0 without") == 1
    folder.refuse([Refusal("b", "empty mask", "annotation")], "train")
    folder.say_refusals()
    assert "2 broken annotations: see" in capsys.readouterr().out


def test_what_an_embedding_pass_listed_in_the_same_folder_is_no_refusal_of_the_run(folder, config):
    (folder.path / "refused.jsonl").write_text('{"image_id": "a", "reason": "truncated"}\n')
    folder.close()
    again = RunFolder(config, ALONE)
    again.begin(START, 10)
    assert again.refuse([Refusal("b", "gone")], "train") == 1
    assert [line["image_id"] for line in lines(again, "refused.jsonl")] == ["a", "b"]
    again.close()


def test_two_runs_in_one_folder_refuse_each_other(config):
    config.run_folder.mkdir(parents=True)
    folder = RunFolder(config, ALONE)
    with held_by_another_process(config.run_folder / ".lock"):
        with pytest.raises(EdgeSamError, match="another run is at work there"):
            folder.begin(START, 10)
        assert [path.name for path in config.run_folder.iterdir()] == [".lock"]
    folder.begin(START, 10)
    folder.close()


def test_folders_of_one_name_are_two_runs_of_wandb(config, monkeypatch):
    ids = []
    fake = SimpleNamespace(init=lambda **options: ids.append(options["id"]))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for output in ("one", "two", "one"):
        _start_wandb(config.model_copy(update={"OUTPUT": output}))
    assert ids[0] == ids[2] != ids[1] and all(name.startswith(f"{PHASE_1}-t-") for name in ids)


def mark(folder, scores):
    for epoch, (score, better) in enumerate(scores):
        (folder.path / f"ckpt_epoch_{epoch}.pth").write_text(str(epoch))
        assert folder.record_score(after(10 * (epoch + 1), epoch), {"mean": score}) is better


def test_the_best_checkpoint_is_marked(folder):
    mark(folder, [(0.4, True), (0.6, True), (0.5, False)])
    assert folder.best() == {"checkpoint": "ckpt_epoch_1.pth", "step": 20, "images": 80, "epoch": 1, "miou": 0.6}
    assert (folder.path / "ckpt_best.pth").read_text() == "1"


def test_a_best_that_was_lost_gives_way_to_the_one_before(folder, config):
    mark(folder, [(0.4, True), (0.6, True)])
    again = RunFolder(config, ALONE)
    again.begin(Progress(5, 40, 1), 30)  # the first epoch's end, in steps twice as large
    assert again.best()["epoch"] == 0 and (folder.path / "ckpt_best.pth").read_text() == "0"
    again.begin(START, 30)
    assert again.best() is None and not (folder.path / "ckpt_best.pth").exists()
    again.close()


def test_a_mark_that_a_kill_prevented_is_made_up_for(folder, config):
    mark(folder, [(0.4, True)])
    (folder.path / "ckpt_epoch_1.pth").write_text("1")
    folder.record(after(20, 1), "miou", {"mean": 0.6})
    again = RunFolder(config, ALONE)
    again.begin(after(20, 1), 30)
    assert again.best()["epoch"] == 1 and (folder.path / "ckpt_best.pth").read_text() == "1"
    again.close()


def test_the_best_one_outlives_its_other_name(folder, config):
    mark(folder, [(0.6, True), (0.4, False)])
    (folder.path / "ckpt_epoch_0.pth").unlink()
    again = RunFolder(config, ALONE)
    again.begin(after(20, 1), 30)
    assert again.best()["epoch"] == 0 and (folder.path / "ckpt_best.pth").read_text() == "0"
    again.close()


def test_a_run_that_cannot_begin_leaves_nothing(config, tmp_path):
    folder = RunFolder(config, ALONE)
    folder.say("first words")
    assert not (tmp_path / PHASE_1).exists()
    folder.begin(START, 10)
    assert "first words" in (folder.path / "log.txt").read_text()
    folder.close()
