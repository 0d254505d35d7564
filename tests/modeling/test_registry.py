import pytest
import torch

import edge_sam
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.loading import network_of
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import network_settings_note
from edge_sam.modeling.registry import build_fresh, build_image_encoder, build_sam, sam_model_registry
from edge_sam.modeling.repvit import RepViTImageEncoder
from edge_sam.modeling.tiny_vit import TinyViTImageEncoder


@pytest.mark.parametrize("arch", ["m1", "m2", "m3"])
def test_options_reach_the_student(arch):
    encoder = build_image_encoder(f"rep_vit_{arch}", 512, fuse=True, upsample_mode="bilinear", use_checkpoint=True)
    assert isinstance(encoder, RepViTImageEncoder)
    assert (encoder.arch, encoder.image_size, encoder.use_checkpoint) == (arch, 512, True)
    assert encoder.fusion.upsample_mode == "bilinear"
    assert build_image_encoder(f"rep_vit_{arch}", fuse=False).fusion is None


def test_unknown_models_and_sizes_are_refused():
    with pytest.raises(EdgeSamError, match="vit_x: no such model; known are vit_b"):
        build_image_encoder("vit_x")
    with pytest.raises(EdgeSamError, match="image size 250 is not a multiple of 32"):
        build_image_encoder("vit_t", 250)


def test_the_parts_agree_about_the_size():
    sam = build_sam("vit_t", 512)
    assert isinstance(sam.image_encoder, TinyViTImageEncoder)
    assert sam.image_size == sam.image_encoder.image_size == 512
    assert sam.prompt_encoder.image_embedding_size == (32, 32)


def test_the_registry_loads_strictly_and_answers_in_eval_mode(tmp_path):
    torch.manual_seed(0)
    saved = build_sam("rep_vit_m1")
    save_state(official_state(saved), tmp_path / "edge_sam.pth")
    loaded = sam_model_registry["edge_sam"](checkpoint=tmp_path / "edge_sam.pth")
    assert not loaded.training
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    with pytest.raises(EdgeSamError, match="looks like an EdgeSAM checkpoint"):
        sam_model_registry["vit_t"](checkpoint=tmp_path / "edge_sam.pth")


def test_the_registry_takes_the_network_that_the_file_tells_of(tmp_path):
    network = Network("rep_vit_m1", 256, upsample_mode="bilinear")
    path = tmp_path / "model.safetensors"
    save_state(official_state(build_fresh(network)), path, network_settings_note(network.settings))
    assert network_of(sam_model_registry["edge_sam"](checkpoint=path)) == network
    assert network_of(build_sam("rep_vit_m1", checkpoint=path)) == network
    with pytest.raises(EdgeSamError, match=r"trained with DATA\.IMG_SIZE 256, not 1024"):
        sam_model_registry["edge_sam"](checkpoint=path, image_size=1024)
    with pytest.raises(EdgeSamError, match=r"trained with DISTILL\.UPSAMPLE_MODE bilinear, not bicubic"):
        sam_model_registry["edge_sam"](checkpoint=path, upsample_mode="bicubic")
    with pytest.raises(EdgeSamError, match=r"trained with DISTILL\.FUSE True, not False"):
        build_sam("rep_vit_m1", fuse=False, checkpoint=path)
    with pytest.raises(EdgeSamError, match=r"trained with MODEL\.TYPE rep_vit_m1, not rep_vit_m2"):
        sam_model_registry["rep_vit_m2"](checkpoint=path)


def test_a_file_that_does_not_tell_is_taken_as_asked_for(tmp_path):
    save_state(official_state(build_sam("rep_vit_m1")), tmp_path / "plain.pth")
    sam = sam_model_registry["edge_sam"](checkpoint=tmp_path / "plain.pth", image_size=512, upsample_mode="bilinear")
    assert network_of(sam) == Network("rep_vit_m1", 512, upsample_mode="bilinear")


def test_the_registry_knows_the_names_people_use():
    sizes = {"vit_b", "vit_l", "vit_h", "vit_t", "rep_vit_m1", "rep_vit_m2", "rep_vit_m3"}
    assert set(sam_model_registry) == sizes | {"default", "edge_sam"}
    assert edge_sam.sam_model_registry is sam_model_registry


@torch.inference_mode()
def test_the_lab_teacher_loads_strictly(shared):
    sam = build_sam(
        "rep_vit_m1", 256, upsample_mode="bilinear", checkpoint=shared("lab_teacher", "lab_teacher_256.pth")
    ).eval()
    embedding = sam.image_encoder(torch.randn(1, 3, 256, 256))
    assert embedding.shape == (1, 256, 16, 16)
    assert embedding.isfinite().all()
