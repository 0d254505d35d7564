import pytest
import torch
from torch import nn

from edge_sam.modeling.channel_scale import ChannelScale
from edge_sam.modeling.repvit import RepViTImageEncoder


def depthwise(channels: int = 6) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, channels, 1, groups=channels, bias=False)


def test_it_answers_and_learns_as_the_convolution():
    convolution = depthwise()
    scale = ChannelScale.of(convolution)
    assert scale.weight is convolution.weight
    answers, gradients = [], []
    for module in (convolution, scale):
        x = torch.linspace(-1, 1, 2 * 6 * 5 * 4).view(2, 6, 5, 4).requires_grad_()
        answer = module(x)
        gradients.append(torch.autograd.grad(answer.square().sum(), (x, convolution.weight)))
        answers.append(answer)
    torch.testing.assert_close(*answers, atol=0, rtol=0)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "other",
    [nn.Conv2d(6, 6, 1, groups=6), nn.Conv2d(6, 6, 1, bias=False), nn.Conv2d(6, 6, 3, groups=6, bias=False)],
    ids=["bias", "dense", "wide"],
)
def test_other_convolutions_are_refused(other):
    with pytest.raises(ValueError, match="not a depthwise 1x1 convolution"):
        ChannelScale.of(other)


def test_no_depthwise_1x1_convolution_of_the_student_is_left_to_the_slow_kernel():
    modules = RepViTImageEncoder("m1", 128).modules()
    narrow = [m for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.groups > 1]
    assert narrow and all(isinstance(module, ChannelScale) for module in narrow)
