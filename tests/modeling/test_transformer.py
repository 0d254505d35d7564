import math

import pytest
import torch
import torch.nn.functional as F

from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.transformer import Attention, TwoWayTransformer, attend


@pytest.mark.parametrize("requires_grad", [True, False])
def test_attention_is_softmax_attention(requires_grad):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 8, 5, 16), torch.randn(2, 8, 300, 16), torch.randn(2, 8, 300, 16)
    expected = (q.double() @ k.double().mT / math.sqrt(16)).softmax(-1) @ v.double()
    q.requires_grad_(requires_grad)
    torch.testing.assert_close(attend(q, k, v).double(), expected, atol=1e-5, rtol=0)


def test_training_takes_the_fused_kernel(monkeypatch):
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *tensors: calls.append(1) or fused(*tensors))
    transformer = TwoWayTransformer(depth=2, embed_dim=32, num_heads=4, mlp_dim=16)
    transformer(torch.randn(2, 32, 4, 4), torch.randn(1, 32, 4, 4), torch.randn(2, 5, 32))
    assert len(calls) == 3 * 2 + 1


def test_training_and_inference_agree():
    torch.manual_seed(0)
    transformer = TwoWayTransformer()
    inputs = torch.randn(3, 256, 8, 8), torch.randn(1, 256, 8, 8), torch.randn(3, 7, 256)
    with torch.no_grad():
        expected = transformer(*inputs)
    for trained, inferred in zip(transformer(*inputs), expected, strict=True):
        torch.testing.assert_close(trained, inferred, atol=1e-5, rtol=0)


def test_attention_does_not_depend_on_the_order_of_keys():
    torch.manual_seed(0)
    attention = Attention(32, 4, downsample_rate=2)
    q, k = torch.randn(1, 3, 32), torch.randn(1, 10, 32)
    order = torch.randperm(10)
    torch.testing.assert_close(attention(q, k[:, order], k[:, order]), attention(q, k, k), atol=1e-6, rtol=0)


def test_shapes_and_gradients():
    transformer = TwoWayTransformer(depth=2, embed_dim=32, num_heads=4, mlp_dim=16)
    tokens, image = transformer(torch.randn(2, 32, 4, 6), torch.randn(1, 32, 4, 6), torch.randn(2, 5, 32))
    assert tokens.shape == (2, 5, 32)
    assert image.shape == (2, 24, 32)
    (tokens.square().sum() + image.square().sum()).backward()
    # A constant added to all keys changes no softmax, hence the gradient of 0 for their biases.
    dead = [name for name, p in transformer.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in dead if not name.endswith("k_proj.bias")] == []


def test_fresh_attention_finds_what_is_alike():
    torch.manual_seed(0)
    encoder = PromptEncoder(image_embedding_size=(16, 16), input_image_size=(256, 256))
    positions = encoder.get_dense_pe().flatten(2).transpose(1, 2)
    attention = Attention(256, 8, downsample_rate=2)
    queries = positions[:, [17, 200]]
    scores = attention.split_heads(attention.q_proj(queries)) @ attention.split_heads(attention.k_proj(positions)).mT
    assert scores.mean(dim=1)[0].argmax(dim=1).tolist() == [17, 200]
