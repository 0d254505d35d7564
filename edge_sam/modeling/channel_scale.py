"""The 1x1 depthwise convolution, computed as the product that it is."""

from typing import Self

from torch import Tensor, nn


class ChannelScale(nn.Conv2d):
    """A depthwise 1x1 convolution without bias: each channel times its weight.

    The same numbers as the convolution, whose kernel on a CPU goes through the channels one by one and took a quarter
    of an encoder's forward and backward pass (``benchmarks/training_steps.py``).
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> Self:
        """Return ``convolution`` in this form, with the very same weights.

        Raises:
            ValueError: it is not a depthwise 1x1 convolution without bias.
        """
        channels = convolution.in_channels
        plain = nn.Conv2d(channels, channels, 1, groups=channels, bias=False, device="meta")
        if repr(convolution) != repr(plain):
            raise ValueError(f"not a depthwise 1x1 convolution without bias: {convolution}")
        scale = cls(channels, channels, 1, groups=channels, bias=False, device="meta")
        scale.weight = convolution.weight
        return scale

    def forward(self, x: Tensor) -> Tensor:
        """Scale (B, C, h, w)."""
        return x * self.weight.view(1, -1, 1, 1)
