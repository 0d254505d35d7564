from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_sam.config import load_config
from edge_sam.distill.training_checkpoint import (
    TrainingCheckpoint,
    checkpoint_files,
    epoch_file,
    find_newest,
    remove_step_files,
    step_file,
)
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import read_state, save_state
from tests.distill.conftest import PHASE_1, PHASE_2, ROOT


def settings(name=PHASE_1, *opts):
    return load_config(ROOT / "training" / "configs" / f"{name}.yaml", opts=opts).model_dump(mode="json")


def checkpoint(step=3, epoch=1, images_seen=4):
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    position = {"length": 8, "seed": 0, "epoch": epoch, "images_seen": images_seen}
    return TrainingCheckpoint({"weight": torch.arange(3.0)}, optimizer, step, position, settings(), "12ab")


def test_round_trip(tmp_path):
    path = tmp_path / "ckpt_epoch_0.pth"
    saved = checkpoint()
    saved.save(path)
    loaded = TrainingCheckpoint.load(path)
    assert torch.equal(loaded.model["weight"], saved.model["weight"])
    assert replace(loaded, model=saved.model) == saved
    assert list(read_state(path)) == ["weight"]
    content = torch.load(path, weights_only=True)
    assert set(content["versions"]) == {"edge_sam", "torch", "timm"}
    assert [file.name for file in tmp_path.iterdir()] == ["ckpt_epoch_0.pth"]


def test_settings_that_a_checkpoint_does_not_know_had_their_defaults(tmp_path):
    older = checkpoint()
    del (
        older.config["DISTILL"]["TARGET"],
        older.config["DATA"]["AUGMENTATION"],
        older.config["TRAIN"]["DECODER_LR_SCALE"],
    )
    assert older.expect_settings(settings(), tmp_path) == []


def test_weights_alone_are_refused(tmp_path):
    save_state({"weight": torch.ones(2)}, tmp_path / "weights.pth")
    with pytest.raises(EdgeSamError, match="not a training checkpoint"):
        TrainingCheckpoint.load(tmp_path / "weights.pth")


def test_a_part_that_is_missing_is_named(tmp_path):
    checkpoint().save(tmp_path / "ckpt_epoch_0.pth")
    content = torch.load(tmp_path / "ckpt_epoch_0.pth", weights_only=True)
    del content["sampler"]
    torch.save(content, tmp_path / "ckpt_epoch_0.pth")
    with pytest.raises(EdgeSamError, match="corrupt: it holds no 'sampler'"):
        TrainingCheckpoint.load(tmp_path / "ckpt_epoch_0.pth")


def test_only_training_checkpoints_are_found(tmp_path):
    names = [epoch_file(2), epoch_file(10), step_file(30), step_file(4)]
    others = ["ckpt_epoch_11_model.pth", "ckpt_best.pth", ".ckpt_epoch_12.pth.77.tmp", "ckpt_epoch_x.pth"]
    for name in names + others:
        (tmp_path / name).touch()
    found = {kind: [path.name for path in paths] for kind, paths in checkpoint_files(tmp_path).items()}
    assert found == {
        "epoch": ["ckpt_epoch_10.pth", "ckpt_epoch_2.pth"],
        "step": ["ckpt_step_30.pth", "ckpt_step_4.pth"],
    }


def test_newest_is_the_one_that_has_seen_most_images(tmp_path):
    assert find_newest(tmp_path, print) is None
    checkpoint(1000, epoch=1, images_seen=0).save(tmp_path / epoch_file(0))
    checkpoint(1500, epoch=1, images_seen=5).save(tmp_path / step_file(1500))
    checkpoint(190, epoch=1, images_seen=6).save(tmp_path / step_file(190))  # in steps eight times as large
    assert find_newest(tmp_path, print)[0].name == "ckpt_step_190.pth"
    checkpoint(250, epoch=2, images_seen=0).save(tmp_path / epoch_file(1))
    assert find_newest(tmp_path, print)[0].name == "ckpt_epoch_1.pth"


def test_step_files_but_for_one_are_removed(tmp_path):
    for name in (epoch_file(0), step_file(1500), step_file(190), step_file(200)):
        checkpoint().save(tmp_path / name)
    remove_step_files(tmp_path, keep=step_file(190))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt_epoch_0.pth", "ckpt_step_190.pth"]
    remove_step_files(tmp_path, keep=epoch_file(1))
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt_epoch_0.pth"]


def test_a_broken_file_is_named_and_passed_over(tmp_path):
    checkpoint(10, epoch=1).save(tmp_path / epoch_file(0))
    checkpoint(20, epoch=2).save(tmp_path / epoch_file(1))
    newest = tmp_path / epoch_file(1)
    newest.write_bytes(newest.read_bytes()[:1000])
    said = []
    assert find_newest(tmp_path, said.append)[1].step == 10
    assert len(said) == 1 and "ckpt_epoch_1.pth" in said[0]
    (tmp_path / epoch_file(0)).write_bytes(b"")
    with pytest.raises(EdgeSamError, match="no other checkpoint"):
        find_newest(tmp_path, said.append)


@pytest.mark.parametrize(
    ("name", "opts", "key"),
    [
        (PHASE_1, ("MODEL.TYPE", "rep_vit_m2"), "MODEL.TYPE"),
        (PHASE_1, ("DATA.IMG_SIZE", "512"), "DATA.IMG_SIZE"),
        (PHASE_1, ("SEED", "1"), "SEED"),
        (PHASE_2, (), "DISTILL.ENCODER_ONLY"),
    ],
)
def test_another_run_is_refused(name, opts, key):
    with pytest.raises(EdgeSamError, match=f"here.pth: its run has {key}"):
        checkpoint().expect_settings(settings(name, *opts), Path("here.pth"))


def test_what_may_change_is_reported():
    now = settings(PHASE_1, "TRAIN.EPOCHS", "12", "DATA.NUM_WORKERS", "1", "OUTPUT", "elsewhere",
                   "VALIDATION.NUM_IMAGES", "3", "TRAIN.SAVE_STEPS", "7", "USE_WANDB", "true")  # fmt: skip
    assert checkpoint().expect_settings(now, Path("x")) == ["TRAIN.EPOCHS 10 -> 12"]
