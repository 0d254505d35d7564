import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import load_official, official_state, read_state, save_state
from edge_sam.modeling.packed_weights import pack_weights, unpack_weights
from edge_sam.modeling.registry import build_sam


def test_a_weight_comes_back_within_half_a_step_of_its_row():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 180, 3, 3, generator=generator) * torch.logspace(-6, 2, 7)[:, None, None, None]
    weight[3] = 0
    packed = pack_weights({"w": weight})
    assert packed["w"].dtype == torch.int8
    error = (unpack_weights(packed, "file")["w"] - weight).abs().flatten(1).amax(dim=1)
    assert (error <= weight.abs().flatten(1).amax(dim=1) / 127 * 0.5001).all()


def test_small_and_whole_numbers_stay_as_they_are():
    state = {
        "bias": torch.randn(9000),
        "depthwise": torch.randn(1000, 1, 3, 3),
        "frequencies": torch.randn(2, 128),
        "count": torch.tensor(3),
    }
    packed = pack_weights(state)
    assert packed.keys() == state.keys()
    assert all(torch.equal(unpack_weights(packed, "file")[name], tensor) for name, tensor in state.items())


def test_a_packed_file_is_a_quarter_as_large_and_loads_as_any_other(tmp_path):
    sam = build_sam("rep_vit_m1", 256)
    state = official_state(sam)
    save_state(state, tmp_path / "plain.safetensors")
    save_state(pack_weights(state), tmp_path / "packed.safetensors")
    sizes = [(tmp_path / name).stat().st_size for name in ("packed.safetensors", "plain.safetensors")]
    assert sizes[0] < 0.28 * sizes[1]
    read = read_state(tmp_path / "packed.safetensors")
    load_official(build_sam("rep_vit_m1", 256), read, "packed")
    assert {name: tensor.dtype for name, tensor in read.items()} == {name: t.dtype for name, t in state.items()}


def test_a_packed_weight_without_its_scales_is_refused(tmp_path):
    packed = pack_weights({"w": torch.randn(4, 2048)})
    with pytest.raises(EdgeSamError, match=r"file: packed weight w of shape \(4, 2048\) has no scale"):
        unpack_weights({"w": packed["w"]}, "file")
    save_state({**packed, "w.scale": torch.ones(3)}, tmp_path / "bad.safetensors")
    with pytest.raises(EdgeSamError, match=r"has scales of shape \(3,\)"):
        read_state(tmp_path / "bad.safetensors")
