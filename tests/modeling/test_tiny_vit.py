import pytest
import torch

from edge_sam.modeling.checkpoints import load_official, split_state
from edge_sam.modeling.tiny_vit import TinyViTBlock, TinyViTImageEncoder, WindowAttention
from tests.modeling.test_repvit import expect_embedding


@torch.inference_mode()
def test_the_embedding_is_the_golden_one(golden, golden_state, golden_input):
    encoder = TinyViTImageEncoder().eval()
    load_official(encoder, split_state(golden_state("mobile_sam"))["image_encoder"], "golden")
    expect_embedding(encoder(golden_input("image", 1, 3, 1024, 1024)), golden("teachers"), "mobile_sam_vit_t")


@torch.inference_mode()
@pytest.mark.parametrize("size", [256, 320])
def test_the_embedding_has_stride_16(size):
    assert TinyViTImageEncoder(size).eval()(torch.randn(1, 3, size, size)).shape == (1, 256, size // 16, size // 16)


def test_windows_do_not_see_each_other():
    torch.manual_seed(0)
    block = TinyViTBlock(8, num_heads=2, window=4).eval()
    x = torch.randn(1, 8, 8, 8).permute(0, 2, 3, 1)
    changed = x.clone()
    changed[:, :4, :4] += 1
    difference = (block._attend(changed) - block._attend(x)).abs().sum(-1)[0]
    assert (difference[:4, :4] > 0).all()
    assert (difference[4:] == 0).all()
    assert (difference[:, 4:] == 0).all()


def test_the_bias_depends_on_distance_alone():
    index = WindowAttention(8, 2, window=3).distance_index
    assert index[0, 0] == index[4, 4] == 0
    assert index[0, 1] == index[1, 0] == index[7, 8] == 1  # one column apart
    assert index[0, 3] == index[5, 2] == 3  # one row apart
    assert index.max() == 8


def test_the_unused_classifier_is_in_the_file_but_not_in_training():
    encoder = TinyViTImageEncoder(256)
    encoder.requires_grad_(True)
    encoder(torch.randn(1, 3, 64, 64)).square().mean().backward()
    assert encoder.state_dict()["head.weight"].shape == (1000, 320)
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_recomputation_changes_nothing_but_memory():
    results = []
    for use_checkpoint in (False, True):
        torch.manual_seed(0)
        encoder = TinyViTImageEncoder(64, use_checkpoint)
        encoder(torch.randn(2, 3, 64, 64)).square().mean().backward()
        results.append(encoder)
    plain, recomputed = (dict(encoder.named_parameters()) for encoder in results)
    for name, parameter in plain.items():
        torch.testing.assert_close(recomputed[name].grad, parameter.grad, msg=name)
    plain, recomputed = (dict(encoder.named_buffers()) for encoder in results)
    for name, buffer in plain.items():
        assert torch.equal(recomputed[name], buffer), name
