import torch
from torch import nn

from edge_sam.modeling.recompute import recomputed


def part() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))


def test_gradients_and_statistics_are_those_of_one_run():
    x = torch.randn(2, 3, 8, 8)
    plain, again = part(), part()
    plain(x).square().sum().backward()
    runs = []
    again[0].register_forward_hook(lambda *_: runs.append(1))
    recomputed(again, x).square().sum().backward()
    assert len(runs) == 2
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(again.get_parameter(name).grad, parameter.grad, msg=name)
    for name, buffer in plain.named_buffers():
        assert torch.equal(again.get_buffer(name), buffer), name
    assert again[1].momentum == 0.1


def test_nothing_is_kept_without_gradients():
    module = part().eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(recomputed(module, x), module(x))
