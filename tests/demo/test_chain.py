"""What the chain runs, without running it: the programs are replaced by one that writes what they would."""

import argparse
import json
import os
from pathlib import Path

import pytest
import torch

from edge_sam.arguments import add_run_arguments, config_from_arguments
from edge_sam.demo import chain as chain_module
from edge_sam.demo.chain import ROOT, Chain, typed
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.run import build_parser
from edge_sam.modeling.checkpoints import file_sha256, save_state
from edge_sam.modeling.network_settings import network_settings_note


@pytest.fixture
def commands(monkeypatch):
    """The commands that were run; each leaves the output that its options name."""
    ran: list[list[str]] = []

    def run(command, folder):
        ran.append(command)
        if "evaluation/eval_mIoU.py" in command:
            checkpoint, output = (Path(ROOT, command[command.index(name) + 1]) for name in ("--checkpoint", "--output"))
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps({"checkpoint": {"sha256": file_sha256(checkpoint)}, "results": []}))
        elif "training/train.py" in command:
            config, output, tag = (command[command.index(name) + 1] for name in ("--cfg", "--output", "--tag"))
            folder = Path(output) / Path(config).stem / tag
            folder.mkdir(parents=True, exist_ok=True)
            epochs = int(command[command.index("TRAIN.EPOCHS") + 1])
            (folder / f"ckpt_epoch_{epochs - 1}.pth").write_bytes(b"weights")
        return 0

    monkeypatch.setattr(chain_module, "run_child", run)
    return ran


@pytest.fixture
def chain(tmp_path):
    (tmp_path / "teacher.safetensors").write_bytes(b"teacher")
    return Chain(
        tmp_path / "data", tmp_path / "teacher.safetensors", tmp_path / "out", teacher_type="rep_vit_m2",
        upsample_mode="bicubic", train_images=20,
    )  # fmt: skip


def test_a_chain_has_what_the_file_tells_of_its_network_and_defaults_for_the_rest(tmp_path):
    told = {"MODEL": {"TYPE": "rep_vit_m2"}, "DATA": {"IMG_SIZE": 512}}
    file = tmp_path / "teacher.safetensors"
    save_state({"a": torch.zeros(1)}, file, network_settings_note(told))
    found = Chain.for_teacher(tmp_path, file, tmp_path, seed=3)
    assert (found.teacher_type, found.image_size, found.upsample_mode, found.seed) == ("rep_vit_m2", 512, "bilinear", 3)


def test_a_teacher_that_is_a_link_keeps_its_name_as_in_caches_of_downloads(tmp_path, commands):
    blob, link = tmp_path / "blobs" / "7cac", tmp_path / "snapshots" / "model.safetensors"
    for path in (blob, link):
        path.parent.mkdir()
    save_state({"a": torch.zeros(1)}, tmp_path / "whole.safetensors", network_settings_note({}))
    (tmp_path / "whole.safetensors").rename(blob)
    link.symlink_to(blob)
    chain = Chain.for_teacher(tmp_path, link, tmp_path / "out")
    chain.embed()
    (command,) = commands
    assert command[command.index("--resume") + 1] == str(link)


def config_of(command: list[str]):
    """The run configuration that a command's options describe, read as the scripts read them."""
    position = command.index("--cfg")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_run_arguments(parser, "batch", "folder", "resume", "training")
    parser.add_argument("--eval", action="store_true")
    return config_from_arguments(parser.parse_args(command[position:]))


def test_both_phases_learn_from_the_same_store_images_and_teacher(chain, commands, monkeypatch):
    monkeypatch.chdir(ROOT)
    chain.embed()
    start = chain.phase_1("demo", 8, 3, "TRAIN.BASE_LR", "1e-3")
    assert start == chain.folder / "output" / "rep_vit_m1_fuse_sa_distill" / "demo" / "ckpt_epoch_2.pth"
    chain.phase_2("demo", 4, 1, start)
    embed, phase_1, phase_2 = map(config_of, commands)
    assert (embed.MODEL.TYPE, phase_1.MODEL.TYPE, phase_2.MODEL.TYPE) == ("rep_vit_m2", "rep_vit_m1", "rep_vit_m1")
    for config in (embed, phase_1, phase_2):
        assert config.DATA.NUM_SAMPLES == 20
        assert Path(config.DATA.DATA_PATH) == chain.data
        assert Path(config.DISTILL.TEACHER_EMBED_PATH) == chain.folder / "teacher_embed"
        assert (config.DATA.IMG_SIZE, config.DISTILL.UPSAMPLE_MODE) == (256, "bicubic")
    assert embed.MODEL.RESUME == phase_1.DISTILL.TEACHER_CHECKPOINT == str(chain.teacher)
    assert Path(phase_2.MODEL.PRETRAINED) == start
    assert (phase_1.TRAIN.EPOCHS, phase_1.TRAIN.BASE_LR, phase_2.DATA.BATCH_SIZE) == (3, 1e-3, 4)


def test_the_teacher_is_evaluated_as_what_it_is(chain, commands):
    chain.evaluate(chain.teacher, 5, 6)
    options = build_parser().parse_args(commands[0][2:])
    assert options.suite == "guide"
    assert (options.num_samples, options.num_instances) == (5, 6)
    assert "rep_vit_m2" in options.opts
    student = chain.folder / "output" / "rep_vit_m1_fuse_sa_distill" / "demo" / "ckpt_epoch_2_model.safetensors"
    student.parent.mkdir(parents=True)
    student.write_bytes(b"student")
    chain.evaluate(student, 5, 6)
    assert "MODEL.TYPE" not in commands[1]


def test_what_is_done_is_not_done_again(chain, commands, capsys):
    for _ in range(2):
        chain.phase_1("demo", 8, 1)
    assert len(commands) == 1
    assert "done before" in capsys.readouterr().out
    chain.phase_1("demo", 8, 2)
    assert len(commands) == 2
    (chain.folder / "output" / "rep_vit_m1_fuse_sa_distill" / "demo" / "ckpt_epoch_0.pth").unlink()
    chain.phase_1("demo", 8, 1)
    assert len(commands) == 3


def test_an_evaluation_is_used_for_its_own_checkpoint_alone(chain, commands):
    chain.evaluate(chain.teacher, 5, 6)
    chain.evaluate(chain.teacher, 5, 6)
    assert len(commands) == 1
    chain.teacher.write_bytes(b"another teacher")
    chain.evaluate(chain.teacher, 5, 6)
    assert len(commands) == 2


def test_a_checkpoint_that_was_trained_again_is_converted_again(chain, commands):
    checkpoint = chain.phase_1("demo", 8, 1)
    for _ in range(2):
        target = chain.convert(checkpoint)
        if not target.exists():
            target.write_bytes(b"converted")
    assert len(commands) == 2
    later = target.stat().st_mtime + 10
    os.utime(checkpoint, (later, later))
    chain.convert(checkpoint)
    assert len(commands) == 3


def test_a_step_that_fails_ends_the_chain_and_is_not_taken_for_done(chain, tmp_path, capfd):
    with pytest.raises(EdgeSamError, match=r"convert_weights\.py ended with status 1; its own message is above"):
        chain.convert(tmp_path / "nowhere" / "ckpt_epoch_0.pth")
    assert "ckpt_epoch_0.pth: no such file" in capfd.readouterr().err
    assert chain.journal.walked() == []


def test_paths_are_typed_as_seen_from_the_root(tmp_path):
    assert typed(ROOT / "demo_output" / "data") == Path("demo_output/data")
    assert typed(tmp_path / "elsewhere") == tmp_path / "elsewhere"
