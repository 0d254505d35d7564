from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_sam.config import load_config
from edge_sam.distill.convert import convert, main
from edge_sam.distill.training_checkpoint import TrainingCheckpoint, find_newest
from edge_sam.modeling.checkpoints import file_sha256, official_state, read_state, save_state, split_state
from edge_sam.modeling.loading import load_sam
from edge_sam.modeling.network_settings import read_network_settings
from edge_sam.modeling.registry import build_image_encoder, build_sam
from tests.distill.conftest import PHASE_1, PHASE_2, ROOT


@pytest.fixture(scope="module")
def trained(tmp_path_factory, workplace):
    """What the two phases leave, with random weights."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(5)
    models = {PHASE_1: build_image_encoder("rep_vit_m1", 256), PHASE_2: build_sam("rep_vit_m1", 256)}
    for name, model in models.items():
        config = load_config(ROOT / "training" / "configs" / f"{name}.yaml", opts=("DATA.IMG_SIZE", "256"))
        position = {"length": 8, "seed": 0, "epoch": 1, "images_seen": 0}
        checkpoint = TrainingCheckpoint(
            official_state(model), {}, 1, position, config.model_dump(mode="json"), file_sha256(workplace.teacher)
        )
        checkpoint.save(folder / name / "ckpt_epoch_0.pth")
    return folder


def test_phase_1_is_joined_with_the_teacher(trained, workplace, capsys):
    source = trained / PHASE_1 / "ckpt_epoch_0.pth"
    main([str(source), "--encoder-only", "--teacher", str(workplace.teacher)])
    target = source.with_name("ckpt_epoch_0_model.pth")
    assert str(target) in capsys.readouterr().out
    parts, teacher = split_state(read_state(target)), split_state(read_state(workplace.teacher))
    assert list(read_state(target)) == list(read_state(workplace.teacher))
    for part, expected in (
        ("image_encoder", read_state(source)),
        ("prompt_encoder", teacher["prompt_encoder"]),
        ("mask_decoder", teacher["mask_decoder"]),
    ):
        assert all(torch.equal(parts[part][name], tensor) for name, tensor in expected.items())
    build_sam("rep_vit_m1", 256, checkpoint=target)
    assert find_newest(source.parent, print)[0] == source


@pytest.mark.parametrize("option", [[], ["--safetensors"]])
def test_phase_2_becomes_plain_weights(trained, option):
    source = trained / PHASE_2 / "ckpt_epoch_0.pth"
    main([str(source), *option])
    target = source.with_name("ckpt_epoch_0_model" + (".safetensors" if option else ".pth"))
    before, after = read_state(source), read_state(target)
    assert set(before) == set(after) and all(torch.equal(before[name], after[name]) for name in before)
    assert read_network_settings(target)["DATA.IMG_SIZE"] == 256
    assert load_sam(target).image_size == 256


def test_int8_is_a_quarter_of_the_bytes_and_tells_its_network(trained):
    source = trained / PHASE_2 / "ckpt_epoch_0.pth"
    plain = convert(source, encoder_only=False, teacher=Path("nowhere.pth"), suffix=".safetensors").stat().st_size
    main([str(source), "--int8"])
    target = source.with_name("ckpt_epoch_0_model.safetensors")
    assert target.stat().st_size < 0.28 * plain
    assert read_network_settings(target)["DATA.IMG_SIZE"] == 256
    build_sam("rep_vit_m1", 256, checkpoint=target)
    with pytest.raises(ValueError, match="safetensors alone"):
        convert(source, encoder_only=False, teacher=Path("nowhere.pth"), int8=True)


@pytest.mark.parametrize(
    ("config", "option", "message"),
    [(PHASE_1, [], "add --encoder-only"), (PHASE_2, ["--encoder-only"], "leave out --encoder-only")],
)
def test_the_other_phase_is_refused(trained, workplace, capsys, config, option, message):
    with pytest.raises(SystemExit):
        main([str(trained / config / "ckpt_epoch_0.pth"), *option, "--teacher", str(workplace.teacher)])
    assert message in capsys.readouterr().err


def test_another_teacher_is_refused(trained, workplace, tmp_path, capsys):
    other = tmp_path / "other.pth"
    save_state({**read_state(workplace.teacher), "mask_decoder.iou_token.weight": torch.zeros(1, 256)}, other)
    with pytest.raises(SystemExit):
        main([str(trained / PHASE_1 / "ckpt_epoch_0.pth"), "--encoder-only", "--teacher", str(other)])
    said = capsys.readouterr().err
    assert all(word in said for word in (file_sha256(workplace.teacher), file_sha256(other), "--teacher FILE"))


def test_settings_of_another_version_are_one_line(trained, tmp_path, capsys):
    found = TrainingCheckpoint.load(trained / PHASE_1 / "ckpt_epoch_0.pth")
    replace(found, config={**found.config, "NOVELTY": 1}).save(tmp_path / "ckpt_epoch_0.pth")
    with pytest.raises(SystemExit):
        main([str(tmp_path / "ckpt_epoch_0.pth")])
    said = capsys.readouterr().err
    assert "another version" in said and "NOVELTY" in said and said.count("\n") == 1


def test_plain_weights_are_refused(workplace, capsys):
    with pytest.raises(SystemExit):
        main([str(workplace.teacher)])
    assert "not a training checkpoint" in capsys.readouterr().err


def test_a_missing_teacher_names_its_download(trained, tmp_path, capsys):
    missing = tmp_path / "sam_vit_h_4b8939.pth"
    with pytest.raises(SystemExit):
        main([str(trained / PHASE_1 / "ckpt_epoch_0.pth"), "--encoder-only", "--teacher", str(missing)])
    assert "edgesam download sam_vit_h" in capsys.readouterr().err
