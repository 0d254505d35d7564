import pytest
import torch
import torch.nn.functional as F

from edge_sam.modeling.common import MLP, LayerNorm2d, Neck


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layer_norm_over_channels_in_either_memory_order(memory_format):
    torch.manual_seed(0)
    norm = LayerNorm2d(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 4, 5).to(memory_format=memory_format)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias, 1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=0)


def test_layer_norm_computes_in_its_own_precision_under_autocast():
    torch.manual_seed(0)
    norm = LayerNorm2d(64)
    x = (100 + torch.randn(1, 64, 4, 4)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = norm(x)
    torch.testing.assert_close(out.float(), norm(x.float()), atol=2e-2, rtol=0)


def test_the_neck_has_no_biases_in_its_convolutions():
    neck = Neck(32)
    assert list(neck.state_dict()) == ["0.weight", "1.weight", "1.bias", "2.weight", "3.weight", "3.bias"]
    assert neck(torch.randn(1, 32, 4, 4)).shape == (1, 256, 4, 4)


def test_mlp_has_relu_between_its_layers_but_not_after_the_last():
    mlp = MLP(2, 3, 1, num_layers=2)
    for parameter in mlp.parameters():
        torch.nn.init.constant_(parameter, -1.0)
    assert mlp(torch.zeros(1, 2)).item() == -1.0
