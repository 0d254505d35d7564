import json
from dataclasses import asdict

import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling import pretrained
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.loading import load_sam, network_of
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import Sam


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("rep_vit_m1", 256, fuse=True, upsample_mode="bilinear")


@pytest.fixture(scope="module")
def folder(sam, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "edge_sam_256"
    sam.save_pretrained(folder)
    return folder


def expect_same(loaded, sam):
    assert network_of(loaded) == network_of(sam) and not loaded.training
    for name, tensor in sam.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_folder_holds_the_whole_model(sam, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    expect_same(Sam.from_pretrained(folder), sam)
    expect_same(load_sam(folder / "model.safetensors"), sam)


def test_a_repository_is_fetched_file_by_file(sam, folder, monkeypatch):
    asked = []

    def fetch(repository, file, *, revision):
        asked.append((repository, file, revision))
        return str(folder / file)

    monkeypatch.setattr(pretrained, "hf_hub_download", fetch)
    expect_same(Sam.from_pretrained("somebody/edge_sam_256", revision="v1"), sam)
    assert asked == [("somebody/edge_sam_256", file, "v1") for file in ("config.json", "model.safetensors")]


def test_neither_folder_nor_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EdgeSamError, match=r"somebody/nothing: no such folder, and config\.json could not be had"):
        Sam.from_pretrained("somebody/nothing")
    with pytest.raises(EdgeSamError, match="no such folder"):
        Sam.from_pretrained(tmp_path / "a" / "b" / "c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "lacks model_type, image_size, fuse, upsample_mode"),
        ({"fuse": None}, "fuse is None"),
        ({"image_size": "256"}, "image_size is '256'"),
        ({"upsample_mode": "nearest"}, "upsample_mode is 'nearest'"),
        (
            {"model_type": "rep_vit_m3"},
            r"config\.json: says MODEL.TYPE rep_vit_m3, but model\.safetensors .* rep_vit_m1",
        ),
        ({"image_size": 512}, "says DATA.IMG_SIZE 512, but .* trained with 256"),
        ({"fuse": False}, "says DISTILL.FUSE False, but .* trained with True"),
        ({"upsample_mode": "bicubic"}, "says DISTILL.UPSAMPLE_MODE bicubic, but .* trained with bilinear"),
    ],
)
def test_a_wrong_configuration_is_named(content, message, folder, tmp_path):
    if isinstance(content, dict):
        content = json.dumps(json.loads((folder / "config.json").read_text()) | content)
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "model.safetensors").hardlink_to(folder / "model.safetensors")
    with pytest.raises(EdgeSamError, match=message):
        Sam.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "message"), [("vit_x", "vit_x: no such model"), ("rep_vit_m3", "not the weights of this Sam")]
)
def test_weights_that_do_not_tell_are_of_the_model_that_the_configuration_names(model_type, message, sam, tmp_path):
    save_state(official_state(sam), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(asdict(Network(model_type))))
    with pytest.raises(EdgeSamError, match=message):
        Sam.from_pretrained(tmp_path)


def test_a_file_is_missing(tmp_path):
    with pytest.raises(EdgeSamError, match=r"has no config\.json"):
        Sam.from_pretrained(tmp_path)


def test_a_changed_model_is_not_saved(tmp_path):
    sam = build_sam("rep_vit_m1", 256)
    sam.image_encoder.trunk.stem.conv1 = torch.nn.Identity()
    with pytest.raises(EdgeSamError, match="this model was changed"):
        sam.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
