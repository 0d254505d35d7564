import pytest
import torch
import torch.nn.functional as F

from edge_sam.modeling.checkpoints import load_official
from edge_sam.modeling.repvit import FeatureFusion, RepViTImageEncoder

GOLDEN = {
    "repvit_m1_fuse_bicubic": ("m1", True, "bicubic", "repvit_m1_fuse"),
    "repvit_m1_fuse_bilinear": ("m1", True, "bilinear", "repvit_m1_fuse"),
    "repvit_m2_fuse_bilinear": ("m2", True, "bilinear", "repvit_m2_fuse"),
    "repvit_m3_fuse_bilinear": ("m3", True, "bilinear", "repvit_m3_fuse"),
    "repvit_m1_nofuse": ("m1", False, "bicubic", "repvit_m1_nofuse"),
}


def expect_embedding(embedding: torch.Tensor, arrays, name: str) -> None:
    torch.testing.assert_close(embedding[..., ::4, ::4], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)
    whole = embedding.double()
    stats = torch.stack([whole.mean(), whole.std(), whole.abs().max(), whole.square().sum()])
    torch.testing.assert_close(stats, torch.from_numpy(arrays[f"{name}_stats"]), atol=1e-4, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", GOLDEN)
def test_embeddings_are_the_golden_ones(name, golden, golden_state, golden_input):
    arch, fuse, upsample_mode, manifest = GOLDEN[name]
    encoder = RepViTImageEncoder(arch, 1024, fuse, upsample_mode).eval()
    load_official(encoder, golden_state(manifest), manifest)
    expect_embedding(encoder(golden_input("image", 1, 3, 1024, 1024)), golden("edge_sam"), name)


@torch.no_grad()
def test_batch_statistics_give_the_golden_embedding(golden, golden_state, golden_input):
    encoder = RepViTImageEncoder("m1", 256).train()
    load_official(encoder, golden_state("repvit_m1_fuse"), "golden")
    embedding = encoder(golden_input("image256", 2, 3, 256, 256))
    expected = torch.from_numpy(golden("edge_sam")["repvit_m1_fuse_bicubic_train256"])
    torch.testing.assert_close(embedding, expected, atol=1e-4, rtol=0)


def encoder_and_images(size: int = 128, **options) -> tuple[RepViTImageEncoder, torch.Tensor]:
    torch.manual_seed(0)
    encoder = RepViTImageEncoder("m1", size, **options)
    return encoder, torch.randn(2, 3, size, size)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("size", [256, 512])
def test_the_embedding_has_stride_16(size, fuse):
    encoder, images = encoder_and_images(size, fuse=fuse)
    assert encoder.eval()(images[:1]).shape == (1, 256, size // 16, size // 16)


def test_the_finer_map_is_tapped_inside_the_last_downsampling():
    encoder, images = encoder_and_images()
    seen = {}
    encoder.trunk.stages[3].downsample.pre_block.register_forward_hook(lambda *call: seen.update(tap=call[2]))
    encoder.fusion.register_forward_pre_hook(lambda _, inputs: seen.update(fused=inputs))
    encoder(images)
    assert seen["fused"][0] is seen["tap"]
    torch.testing.assert_close(seen["fused"][1].shape, torch.Size([2, 384, 4, 4]))


def test_the_trunk_is_timms():
    encoder, images = encoder_and_images()
    encoder.eval()
    torch.testing.assert_close(encoder._features(images)[1], encoder.trunk.forward_features(images))


def test_fusion_is_a_sum_of_projections():
    fusion = FeatureFusion(8, 16, "bilinear", out_channels=4)
    fine, coarse = torch.randn(1, 8, 6, 6), torch.randn(1, 16, 3, 3)
    enlarged = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        fusion(fine, coarse), fusion.stride16(fine) + fusion.stride32(enlarged), atol=1e-5, rtol=0
    )


def test_bicubic_and_bilinear_are_different_networks():
    encoder, images = encoder_and_images()
    bicubic = encoder.eval()(images)
    encoder.fusion.upsample_mode = "bilinear"
    assert (encoder(images) - bicubic).abs().max() > 1e-3


def test_recomputation_changes_nothing_but_memory():
    results = []
    for use_checkpoint in (False, True):
        encoder, images = encoder_and_images(64, use_checkpoint=use_checkpoint)
        encoder(images).square().mean().backward()
        results.append((dict(encoder.named_parameters()), dict(encoder.named_buffers())))
    (plain, plain_buffers), (recomputed, recomputed_buffers) = results
    for name, parameter in plain.items():
        torch.testing.assert_close(recomputed[name].grad, parameter.grad, msg=name)
    for name, buffer in plain_buffers.items():  # the second run must not count a batch again
        assert torch.equal(recomputed_buffers[name], buffer), name


def test_all_parameters_have_gradients():
    encoder, images = encoder_and_images(64)
    encoder(images).square().mean().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_channels_last_and_bfloat16():
    encoder, images = encoder_and_images()
    encoder.eval()
    exact = encoder(images)
    encoder = encoder.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(encoder(images), exact, atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(images)
    assert (rough.float() - exact).abs().mean() < 0.05
