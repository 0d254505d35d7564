import pytest
import torch
from torch import nn

from edge_sam.modeling.checkpoints import load_official
from edge_sam.modeling.folding import folded
from edge_sam.modeling.registry import build_image_encoder
from tests.modeling.test_repvit import GOLDEN, expect_embedding


def with_lively_norms(encoder: nn.Module) -> nn.Module:
    """Fresh norms are all but the identity: give them statistics, scales and shifts that a fold must not lose."""
    generator = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                values.copy_(torch.rand(values.shape, generator=generator) * (high - low) + low)
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("model_type", "options"),
    [("rep_vit_m1", {}), ("rep_vit_m1", {"fuse": False}), ("rep_vit_m2", {}), ("rep_vit_m3", {}), ("vit_t", {})],
)
def test_the_folded_encoder_answers_the_same_without_norms(model_type, options):
    torch.manual_seed(0)
    encoder = with_lively_norms(build_image_encoder(model_type, 128, **options))
    images = torch.randn(1, 3, 128, 128)
    before = encoder(images)
    small = folded(encoder)
    torch.testing.assert_close(small(images), before, atol=1e-4, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in small.modules())
    assert small.image_size == 128
    torch.testing.assert_close(encoder(images), before, atol=0, rtol=0)  # the original is not touched


@torch.no_grad()
def test_an_encoder_in_training_is_folded_with_its_running_statistics():
    encoder = with_lively_norms(build_image_encoder("rep_vit_m1", 64))
    images = torch.randn(2, 3, 64, 64)
    expected = encoder(images)
    encoder.train()
    torch.testing.assert_close(folded(encoder)(images), expected, atol=1e-4, rtol=0)
    assert encoder.training


@torch.no_grad()
@pytest.mark.parametrize("name", ["repvit_m1_fuse_bicubic", "repvit_m2_fuse_bilinear", "repvit_m1_nofuse"])
def test_folded_embeddings_are_the_golden_ones(name, golden, golden_state, golden_input):
    arch, fuse, upsample_mode, manifest = GOLDEN[name]
    encoder = build_image_encoder(f"rep_vit_{arch}", 1024, fuse, upsample_mode)
    load_official(encoder, golden_state(manifest), manifest)
    expect_embedding(folded(encoder)(golden_input("image", 1, 3, 1024, 1024)), golden("edge_sam"), name)
