import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from edge_sam.config import load_config
from edge_sam.distill import resume, training_data
from edge_sam.distill.run import main
from edge_sam.distill.training_checkpoint import TrainingCheckpoint
from edge_sam.modeling.checkpoints import read_checkpoint, read_state, save_checkpoint, save_state, split_state
from tests.distill.conftest import FROM_SCRATCH, PHASE_1, PHASE_2, ROOT

pytestmark = pytest.mark.usefixtures("one_thread")


def folder_of(output, config):
    return output / Path(config).name / "default"


def weights(output, config, name="ckpt_epoch_1.pth"):
    return read_checkpoint(folder_of(output, config) / name)


def assert_same(first, second):
    for key, tensor in first["model"].items():
        assert torch.equal(tensor, second["model"][key]), key
    for index, state in first["optimizer"]["state"].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, second["optimizer"]["state"][index][name]), (index, name)
    assert first["step"] == second["step"] and first["sampler"] == second["sampler"]


def kill_after(process, folder, pattern):
    """SIGKILL the run as soon as a checkpoint is there."""
    deadline = time.monotonic() + 200
    while not list(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("config", [PHASE_1, PHASE_2, FROM_SCRATCH])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(workplace, tmp_path, capsys, config):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    network = ("MODEL.TYPE", "rep_vit_m1")
    main(workplace.arguments(config, whole, *network))
    often = ("TRAIN.SAVE_STEPS", 1, "DATA.NUM_WORKERS", 2)
    process = workplace.start(workplace.arguments(config, broken, *network, *often))
    kill_after(process, folder_of(broken, config), "ckpt_step_2.pth")
    assert not (folder_of(broken, config) / "ckpt_epoch_1.pth").exists()
    main(workplace.arguments(config, broken, *network, "DATA.NUM_WORKERS", 1))
    assert "going on from" in capsys.readouterr().out
    assert_same(weights(whole, config), weights(broken, config))
    lines = (folder_of(broken, config) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))

    main(workplace.arguments(config, broken, *network))
    again = capsys.readouterr().out
    assert "8 steps are done" in again and "done" in again.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_to_the_whole_group_saves_and_leaves(workplace, tmp_path, interruptible, number, name, processes):
    often = ("TRAIN.EPOCHS", 200, "DATA.NUM_WORKERS", 1)
    process = workplace.start(workplace.arguments(PHASE_1, tmp_path, *often), processes)
    folder = tmp_path / PHASE_1 / "default"
    while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=100)
    if processes == 1:  # the launcher of several has a status of its own
        assert process.returncode == 128 + number
    assert f"stopped by {name}; the same command goes on from here" in said
    assert said.count("Ctrl-C: saving") == (number == signal.SIGINT)
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = max(folder.glob("ckpt_*.pth"), key=lambda path: path.stat().st_mtime)
    assert read_checkpoint(last)["step"] == max(steps)


@pytest.mark.slow
def test_phase_1_validates_and_marks_the_best(workplace, tmp_path, capsys):
    main(workplace.arguments(PHASE_1, tmp_path, "VALIDATION.NUM_IMAGES", 2, "VALIDATION.NUM_INSTANCES", 2))
    folder = tmp_path / PHASE_1 / "default"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scores = [record for record in records if "miou/box" in record]
    assert [(record["step"], record["epoch"]) for record in scores] == [(4, 0), (8, 1)]
    best = json.loads((folder / "best.json").read_text())
    assert best["miou"] == max(record["miou/mean"] for record in scores)
    marked = read_state(folder / "ckpt_best.pth")
    assert all(torch.equal(tensor, marked[name]) for name, tensor in read_state(folder / best["checkpoint"]).items())
    said = capsys.readouterr().out
    for words in ("phase 1", "CPU, float32", "learning rate:", "8 images", "2 epochs of 4 steps", "images/s", "left"):
        assert words in said
    assert {"config.yaml", "log.txt", "tensorboard"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_validation_that_a_kill_prevented_is_made_up_for(workplace, tmp_path):
    main(workplace.arguments(PHASE_1, tmp_path, "TRAIN.EPOCHS", 1))
    main(workplace.arguments(PHASE_1, tmp_path, "TRAIN.EPOCHS", 1, "VALIDATION.NUM_IMAGES", 1))
    folder = tmp_path / PHASE_1 / "default"
    assert '"miou/box"' in (folder / "metrics.jsonl").read_text()
    assert json.loads((folder / "best.json").read_text())["checkpoint"] == "ckpt_epoch_0.pth"


@pytest.mark.slow
def test_a_new_run_goes_on_from_another_run_s_checkpoint(workplace, tmp_path, capsys):
    main(workplace.arguments(PHASE_1, tmp_path, "TRAIN.EPOCHS", 1))
    first = tmp_path / PHASE_1 / "default" / "ckpt_epoch_0.pth"
    validated = ("TRAIN.EPOCHS", 1, "VALIDATION.NUM_IMAGES", 1, "VALIDATION.NUM_INSTANCES", 1, "TAG", "other")
    main([*workplace.arguments(PHASE_1, tmp_path, *validated), "--resume", str(first)])
    other = tmp_path / PHASE_1 / "other"
    assert_same(read_checkpoint(first), read_checkpoint(other / "ckpt_epoch_0.pth"))
    assert json.loads((other / "best.json").read_text())["checkpoint"] == "ckpt_epoch_0.pth"


@pytest.mark.slow
def test_phase_2_goes_from_phase_1_and_the_teacher(workplace, tmp_path):
    main(workplace.arguments(PHASE_1, tmp_path, "TRAIN.EPOCHS", 1))
    phase_1 = tmp_path / PHASE_1 / "default" / "ckpt_epoch_0.pth"
    assert not any(name.startswith("image_encoder.") for name in read_state(phase_1))
    arguments = workplace.arguments(PHASE_2, tmp_path, "TRAIN.EPOCHS", 1, "DISTILL.FREEZE_IMAGE_ENCODER", True)
    arguments[arguments.index("--pretrained") + 1] = str(phase_1)
    main(arguments)
    result, teacher = read_state(tmp_path / PHASE_2 / "default" / "ckpt_epoch_0.pth"), read_state(workplace.teacher)
    assert list(result) == list(teacher)
    for name, tensor in read_state(phase_1).items():
        assert torch.equal(result[f"image_encoder.{name}"], tensor)
    changed = {name for name in result if not torch.equal(result[name], teacher[name])}
    learnt = {name for name in changed if not name.startswith("image_encoder.")}
    assert learnt and all(name.startswith("mask_decoder.") for name in learnt)
    assert not any("iou_prediction_head" in name for name in learnt)


@pytest.mark.slow
def test_frozen_stays_frozen_after_resume(workplace, tmp_path):
    frozen = ("DISTILL.FREEZE_IMAGE_ENCODER", True)
    main(workplace.arguments(PHASE_2, tmp_path, "TRAIN.EPOCHS", 1, *frozen))
    main(workplace.arguments(PHASE_2, tmp_path, "TRAIN.EPOCHS", 2, *frozen))
    folder = tmp_path / PHASE_2 / "default"
    first, second = (read_state(folder / f"ckpt_epoch_{epoch}.pth") for epoch in (0, 1))
    changed = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"mask_decoder"}


def error_of(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


def test_the_start_weights_are_never_silent(workplace, tmp_path, capsys):
    arguments = workplace.arguments(PHASE_1, tmp_path)
    place = arguments.index("--pretrained")
    said = error_of([*arguments[:place], "--pretrained", "", *arguments[place + 2 :]], capsys)
    assert all(word in said for word in ("MODEL.PRETRAINED", "imagenet", "scratch", "file"))
    said = error_of([*arguments[:place], "--pretrained", "nowhere.pth", *arguments[place + 2 :]], capsys)
    assert "nowhere.pth: no such file" in said and "imagenet, scratch" in said
    missing = str(tmp_path / "edge_sam.pth")
    said = error_of([*arguments[:place], "--pretrained", missing, *arguments[place + 2 :]], capsys)
    assert "edgesam download edge_sam" in said


def test_start_weights_of_another_network_are_refused(workplace, tmp_path, capsys):
    start = tmp_path / "ckpt_epoch_9.pth"
    settings = load_config(ROOT / "training" / "configs" / f"{PHASE_1}.yaml", opts=("DATA.IMG_SIZE", "256"))
    encoder = split_state(read_state(workplace.teacher))["image_encoder"]
    save_checkpoint({"model": encoder, "config": settings.model_dump(mode="json")}, start)
    arguments = workplace.arguments(PHASE_2, tmp_path, "DISTILL.UPSAMPLE_MODE", "bilinear")
    arguments[arguments.index("--pretrained") + 1] = str(start)
    said = error_of(arguments, capsys)
    assert "was trained with DISTILL.UPSAMPLE_MODE bicubic, not bilinear" in said


def test_a_store_of_another_teacher_is_refused(workplace, tmp_path, capsys):
    other = tmp_path / "other.pth"
    save_state({**read_state(workplace.teacher), "mask_decoder.iou_token.weight": torch.zeros(1, 256)}, other)
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "DISTILL.TEACHER_CHECKPOINT", other), capsys)
    assert "teacher_sha256" in said and "set DISTILL.TEACHER_CHECKPOINT" in said and "delete" not in said


def test_a_store_of_other_preprocessing_is_refused(workplace, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_data, "PREPROCESSING", "another way")
    said = error_of(workplace.arguments(PHASE_1, tmp_path), capsys)
    assert "preprocessing" in said and "expected 'another way'" in said


def test_processes_that_stand_elsewhere_are_refused(workplace, tmp_path, capsys, monkeypatch):
    gather = resume.gather_objects
    monkeypatch.setattr(resume, "gather_objects", lambda v: [v, (1, 4, 8)] if isinstance(v, tuple) else gather(v))
    said = error_of(workplace.arguments(PHASE_1, tmp_path), capsys)
    assert "process 0 stands at epoch 0, image 0 of 8, process 1 at epoch 1, image 4 of 8" in said


def test_a_checkpoint_that_is_passed_over_is_named(tmp_path):
    config = load_config(ROOT / "training" / "configs" / f"{PHASE_1}.yaml", {"OUTPUT": str(tmp_path)})
    older = config.run_folder / "ckpt_epoch_0.pth"
    for epoch in (0, 1):
        position = {"length": 8, "seed": 0, "epoch": epoch + 1, "images_seen": 0}
        checkpoint = TrainingCheckpoint({}, {}, 4, position, config.model_dump(mode="json"), "12ab")
        checkpoint.save(config.run_folder / f"ckpt_epoch_{epoch}.pth")
    said = []
    folder = SimpleNamespace(path=config.run_folder, say=said.append)
    config = load_config(
        ROOT / "training" / "configs" / f"{PHASE_1}.yaml", {"OUTPUT": str(tmp_path), "MODEL.RESUME": str(older)}
    )
    assert resume.find_checkpoint(config, folder)[0].endswith("ckpt_epoch_1.pth")
    assert any(f"passed over: MODEL.RESUME {older}" in line and "--tag" in line for line in said)


def test_a_store_of_another_size_is_refused(workplace, tmp_path, capsys):
    assert "image_size 256" in error_of(workplace.arguments(PHASE_1, tmp_path, "DATA.IMG_SIZE", 512), capsys)


def test_a_missing_teacher_names_the_command_that_fetches_it(workplace, tmp_path, capsys):
    missing = tmp_path / "sam_vit_h_4b8939.pth"
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "DISTILL.TEACHER_CHECKPOINT", missing), capsys)
    assert "edgesam download sam_vit_h" in said


def test_no_val_split_names_the_setting_that_does_without(workplace, tmp_path, capsys):
    data = tmp_path / "data"
    for folder in ("images", "annotations"):
        (data / folder).mkdir(parents=True)
        (data / folder / "train").symlink_to(workplace.data / folder / "train")
    arguments = workplace.arguments(PHASE_1, tmp_path, "VALIDATION.NUM_IMAGES", 2, "DATA.DATA_PATH", data)
    assert "VALIDATION.NUM_IMAGES 0" in error_of(arguments, capsys)


def test_a_batch_larger_than_the_data_is_refused(workplace, tmp_path, capsys):
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "DATA.BATCH_SIZE", 9), capsys)
    assert "8 images" in said
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "TRAIN.ACCUMULATION_STEPS", 5), capsys)
    assert "TRAIN.ACCUMULATION_STEPS" in said


def test_everything_frozen_is_refused(workplace, tmp_path, capsys):
    frozen = ("DISTILL.FREEZE_IMAGE_ENCODER", True, "DISTILL.FREEZE_MASK_DECODER", True)
    assert "nothing to train" in error_of(workplace.arguments(PHASE_2, tmp_path, *frozen), capsys)


def test_a_decoder_from_nowhere_is_refused(workplace, tmp_path, capsys):
    said = error_of(workplace.arguments(PHASE_2, tmp_path, "DISTILL.INIT_FROM_TEACHER", False), capsys)
    assert "INIT_FROM_TEACHER" in said


@pytest.mark.slow
def test_another_run_in_the_folder_is_refused(workplace, tmp_path, capsys):
    main(workplace.arguments(PHASE_1, tmp_path, "TRAIN.EPOCHS", 1))
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "SEED", 1), capsys)
    assert "SEED 0, this one 1" in said
    said = error_of(workplace.arguments(PHASE_1, tmp_path, "TRAIN.AUTO_RESUME", False), capsys)
    assert "holds a run already" in said


@pytest.mark.slow
def test_two_processes_train_the_guide_s_way(workplace, tmp_path):
    arguments = workplace.arguments(PHASE_2, tmp_path, "TRAIN.EPOCHS", 1, "VALIDATION.NUM_IMAGES", 2)
    said = workplace.train(["--use-sync-bn", *arguments], processes=2)
    assert "SyncBatchNorm" in said and "on 2 x CPU" in said and "1 epochs of 2 steps" in said
    assert said.count("learning rate:") == 1
    assert (tmp_path / PHASE_2 / "default" / "ckpt_epoch_0.pth").is_file()
