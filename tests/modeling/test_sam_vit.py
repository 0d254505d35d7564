import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed_nhwc
from timm.models.vision_transformer_sam import Attention

from edge_sam.modeling.checkpoints import load_official, split_state
from edge_sam.modeling.sam_vit import DecomposedAttention, SamViTImageEncoder
from tests.modeling.test_repvit import expect_embedding


@pytest.mark.slow
@pytest.mark.timeout(3600)
@torch.inference_mode()
@pytest.mark.parametrize(("arch", "name"), [("base", "sam_vit_b"), ("large", "sam_vit_l"), ("huge", "sam_vit_h")])
def test_embeddings_are_the_golden_ones(arch, name, golden, golden_state, golden_input):
    encoder = SamViTImageEncoder(arch).eval()
    load_official(encoder, split_state(golden_state(name))["image_encoder"], name)
    expect_embedding(encoder(golden_input("image", 1, 3, 1024, 1024)), golden("teachers"), name)


def test_attention_computes_what_timms_does():
    torch.manual_seed(0)
    plain = Attention(32, num_heads=4, use_rel_pos=True, input_size=(6, 6))
    torch.nn.init.normal_(plain.rel_pos_h)
    torch.nn.init.normal_(plain.rel_pos_w)
    x = torch.randn(3, 6, 6, 32)
    torch.testing.assert_close(DecomposedAttention(plain)(x), plain(x), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def encoder() -> SamViTImageEncoder:
    torch.manual_seed(0)
    encoder = SamViTImageEncoder("base", 128).eval()
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return encoder


def test_norms_have_sams_epsilon(encoder):
    epsilons = {module.eps for module in encoder.modules() if isinstance(module, torch.nn.LayerNorm)}
    assert epsilons == {1e-6}  # timm's default is 1e-5


@torch.inference_mode()
def test_it_works_at_other_sizes(encoder):
    assert encoder(torch.randn(2, 3, 64, 64)).shape == (2, 256, 4, 4)
    assert encoder(torch.randn(1, 3, 256, 256)).shape == (1, 256, 16, 16)


@torch.inference_mode()
def test_position_tables_are_resampled_for_another_size(encoder):
    images = torch.randn(1, 3, 256, 256)
    expected = encoder(images)
    resampled = SamViTImageEncoder("base", 256).eval()
    resampled.load_state_dict(encoder.state_dict())
    trunk = resampled.trunk
    trunk.pos_embed = torch.nn.Parameter(resample_abs_pos_embed_nhwc(trunk.pos_embed, (16, 16)))
    for block in trunk.blocks:
        if block.window_size == 0:
            for table in ("rel_pos_h", "rel_pos_w"):
                values = getattr(block.attn, table)
                assert values.shape == (127, 64)
                values = F.interpolate(values.T[None], size=31, mode="linear")[0].T
                setattr(block.attn, table, torch.nn.Parameter(values))
    torch.testing.assert_close(resampled(images), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_it_runs_in_bfloat16(encoder):
    images = torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(images)
    assert (rough.float() - encoder(images)).abs().mean() < 0.1


def test_recomputation_gives_the_same_gradients(encoder):
    images = torch.randn(1, 3, 64, 64)
    gradients = []
    for use_checkpoint in (False, True):
        encoder.trunk.set_grad_checkpointing(use_checkpoint)
        encoder.zero_grad()
        encoder(images).square().mean().backward()
        gradients.append(encoder.trunk.blocks[0].attn.rel_pos_h.grad.clone())
    encoder.trunk.set_grad_checkpointing(False)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().sum() > 0
