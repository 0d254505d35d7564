import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import save_checkpoint, save_state
from edge_sam.modeling.network_settings import (
    expect_network_settings,
    network_settings_note,
    read_network_settings,
)

SETTINGS = {
    "MODEL": {"TYPE": "rep_vit_m1", "PRETRAINED": "scratch"},
    "DATA": {"IMG_SIZE": 256},
    "DISTILL": {"FUSE": True, "UPSAMPLE_MODE": "bicubic"},
}


def save(kind, folder):
    state = {"a": torch.ones(1)}
    if kind == "training checkpoint":
        save_checkpoint({"model": state, "config": SETTINGS}, folder / "ckpt.pth")
        return folder / "ckpt.pth"
    save_state(state, folder / f"model.{kind}", network_settings_note(SETTINGS))
    return folder / f"model.{kind}"


@pytest.mark.parametrize("kind", ["training checkpoint", "safetensors", "pth"])
def test_a_file_that_knows_its_network_is_not_taken_for_another(kind, tmp_path):
    path = save(kind, tmp_path)
    assert read_network_settings(path) == {
        "MODEL.TYPE": "rep_vit_m1",
        "DATA.IMG_SIZE": 256,
        "DISTILL.FUSE": True,
        "DISTILL.UPSAMPLE_MODE": "bicubic",
    }
    expect_network_settings(path, SETTINGS)
    for section, name, wanted in [("DISTILL", "UPSAMPLE_MODE", "bilinear"), ("DATA", "IMG_SIZE", 512)]:
        with pytest.raises(EdgeSamError, match=rf"was trained with {section}.{name} \w+, not {wanted}: add --opts"):
            expect_network_settings(path, {**SETTINGS, section: {**SETTINGS[section], name: wanted}})


@pytest.mark.parametrize("name", ["plain.pth", "plain.safetensors"])
def test_a_file_that_does_not_tell_passes(name, tmp_path):
    save_state({"a": torch.ones(1)}, tmp_path / name)
    assert read_network_settings(tmp_path / name) == {}
    expect_network_settings(tmp_path / name, SETTINGS)


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_broken_note_is_refused(kind, tmp_path):
    path = save(kind, tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(EdgeSamError, match="truncated or corrupt"):
        read_network_settings(path)
    for note in ('{"SIZE": 3}', "{"):
        save_state({"a": torch.ones(1)}, path, {"network_settings": note})
        with pytest.raises(EdgeSamError, match="unknown network settings"):
            read_network_settings(path)
    with pytest.raises(EdgeSamError, match="no such file"):
        read_network_settings(tmp_path / f"missing.{kind}")
