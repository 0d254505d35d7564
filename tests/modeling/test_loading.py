import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state, save_checkpoint, save_state
from edge_sam.modeling.loading import load_sam, network_of
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import network_settings_note
from edge_sam.modeling.registry import build_sam

NETWORK = Network("rep_vit_m2", 256, upsample_mode="bilinear")


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam(NETWORK.model_type, NETWORK.image_size, upsample_mode=NETWORK.upsample_mode)


@pytest.fixture(params=["safetensors", "training checkpoint"])
def telling_file(request, sam, tmp_path):
    state = official_state(sam)
    if request.param == "safetensors":
        save_state(state, tmp_path / "model.safetensors", network_settings_note(NETWORK.settings))
        return tmp_path / "model.safetensors"
    save_checkpoint({"model": state, "config": NETWORK.settings}, tmp_path / "ckpt.pth")
    return tmp_path / "ckpt.pth"


def test_a_file_that_tells_needs_no_options(telling_file, sam):
    loaded = load_sam(telling_file)
    assert network_of(loaded) == NETWORK and not loaded.training
    for name, tensor in sam.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_options_may_say_the_same(telling_file):
    assert network_of(load_sam(telling_file, "rep_vit_m2", 256)) == NETWORK


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "vit_t"}, "MODEL.TYPE rep_vit_m2, not vit_t"),
        ({"image_size": 1024}, "DATA.IMG_SIZE 256, not 1024"),
        ({"upsample_mode": "bicubic"}, "DISTILL.UPSAMPLE_MODE bilinear, not bicubic"),
    ],
)
def test_options_may_not_contradict_the_file(options, message, telling_file):
    with pytest.raises(EdgeSamError, match=message):
        load_sam(telling_file, **options)


def test_a_file_that_does_not_tell_is_recognised_and_taken_at_the_official_size(sam, tmp_path):
    save_state(official_state(sam), tmp_path / "plain.pth")
    assert network_of(load_sam(tmp_path / "plain.pth")) == Network("rep_vit_m2", 1024)
    assert network_of(load_sam(tmp_path / "plain.pth", image_size=256, upsample_mode="bilinear")) == NETWORK
    with pytest.raises(EdgeSamError, match="looks like an EdgeSAM checkpoint"):
        load_sam(tmp_path / "plain.pth", model_type="vit_b")


def test_an_encoder_alone_is_no_model(sam, tmp_path):
    save_state(official_state(sam.image_encoder), tmp_path / "encoder.pth")
    with pytest.raises(EdgeSamError, match="convert it first"):
        load_sam(tmp_path / "encoder.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(suffix, sam, tmp_path):
    path = tmp_path / f"model{suffix}"
    save_state(official_state(sam), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EdgeSamError, match="truncated or corrupt"):
        load_sam(path)
