import pytest
import torch

from edge_sam.modeling.checkpoints import load_official, official_state
from edge_sam.modeling.official_names import official_names
from edge_sam.modeling.registry import build_image_encoder, build_sam

ENCODERS = {f"repvit_{arch}_fuse": (f"rep_vit_{arch}", True) for arch in ("m1", "m2", "m3")}
ENCODERS["repvit_m1_nofuse"] = ("rep_vit_m1", False)
MODELS = {
    "edge_sam": "rep_vit_m1",
    "mobile_sam": "vit_t",
    "sam_vit_b": "vit_b",
    "sam_vit_l": "vit_l",
    "sam_vit_h": "vit_h",
}


def build(manifest: str) -> torch.nn.Module:
    if manifest in MODELS:
        return build_sam(MODELS[manifest])
    model_type, fuse = ENCODERS[manifest]
    return build_image_encoder(model_type, fuse=fuse)


@pytest.mark.parametrize("manifest", [*ENCODERS, *MODELS])
def test_names_shapes_and_order_are_those_of_the_official_file(manifest, golden_manifest):
    with torch.device("meta"):
        state = official_state(build(manifest))
    assert [(name, list(tensor.shape)) for name, tensor in state.items()] == list(golden_manifest(manifest).items())


@pytest.mark.parametrize("manifest", [*ENCODERS, "edge_sam", "mobile_sam", "sam_vit_b"])
def test_a_state_goes_in_and_comes_out_bit_for_bit(manifest, golden_state):
    state = golden_state(manifest)
    module = build(manifest)
    load_official(module, state, manifest)
    returned = official_state(module)
    assert list(returned) == list(state)
    for name, tensor in state.items():
        assert returned[name].dtype == tensor.dtype, name
        assert torch.equal(returned[name], tensor), name


@pytest.mark.parametrize("model_type", ["rep_vit_m1", "rep_vit_m2", "rep_vit_m3", "vit_t", "vit_b"])
def test_every_tensor_has_one_name(model_type):
    with torch.device("meta"):
        sam = build_sam(model_type)
    names = official_names(sam)
    assert sorted(names.values()) == sorted(sam.state_dict())


def test_the_student_counts_its_blocks_through():
    with torch.device("meta"):
        names = {own: official for official, own in official_names(build_image_encoder("rep_vit_m1")).items()}
    block = "trunk.stages.{}.weight"
    assert names["trunk.stem.conv2.c.weight"] == "features.0.2.c.weight"
    assert names[block.format("0.blocks.0.se.fc1")] == "features.1.token_mixer.1.fc1.weight"
    assert names[block.format("1.downsample.pre_block.token_mixer.conv.c")] == "features.3.token_mixer.0.conv.c.weight"
    assert names[block.format("1.downsample.spatial_downsample.c")] == "features.4.token_mixer.0.c.weight"
    assert names[block.format("1.downsample.ffn.conv2.bn")] == "features.4.channel_mixer.m.2.bn.weight"
    assert names[block.format("1.blocks.0.token_mixer.conv1.c")] == "features.5.token_mixer.0.conv1.c.weight"
    assert names[block.format("3.blocks.1.channel_mixer.conv1.c")] == "features.26.channel_mixer.m.0.c.weight"
    assert names["fusion.stride32.weight"] == "fuse_stage3.op_list.0.weight"
