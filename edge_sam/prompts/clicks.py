"""The click of a simulated user: one pixel of the region where a prediction differs from its target."""

import torch
from torch import Tensor

IGNORED = -2
"""Label of a click that the prompt encoder is to ignore."""


@torch.no_grad()
def sample_clicks(
    target: Tensor,
    predicted: Tensor,
    valid: Tensor | None,
    noise: Tensor,
    stride: float,
    min_pixels: int = 10,
) -> tuple[Tensor, Tensor]:
    """Draw clicks uniformly from the pixels where ``predicted`` differs from ``target`` (paper, section 3.3).

    The disagreeing pixels are numbered row by row; a noise value u picks number floor(u x count). So the draw is a
    function of its arguments, the same on any device, and nothing waits for the device.

    Args:
        target: bool (N, h, w), what the user wants (in distillation: the teacher's mask).
        predicted: bool (N, h, w), what there is.
        valid: bool (N, h, w) or (1, h, w), False on padding, where nobody clicks; None for everywhere.
        noise: float (N, K) in [0, 1), one value a click; clicks are drawn independently of one another.
        stride: input pixels a mask pixel (4 for the low-resolution masks).
        min_pixels: where fewer pixels disagree there is nothing to mend: the click is at (0, 0) with label -2.

    Returns:
        Points float (N, K, 2), (x, y) in input pixels: column and row of the pixel x stride, that is the first of the
        input pixels it covers. Labels int64 (N, K): 1 where the target has mask, 0 where it has none, or -2.
    """
    disagree = target ^ predicted
    if valid is not None:
        disagree = disagree & valid
    _, height, width = disagree.shape
    numbered = disagree.flatten(1).cumsum(dim=1, dtype=torch.int32)
    count = numbered[:, -1:]
    wanted = (noise * count).floor().to(torch.int32).minimum(count - 1) + 1
    # The first position whose running count reaches the wanted number is that disagreeing pixel.
    position = torch.searchsorted(numbered, wanted.contiguous()).clamp(max=height * width - 1)
    ignored = count < min_pixels
    labels = target.flatten(1).gather(1, position).to(torch.int64).masked_fill(ignored, IGNORED)
    row = torch.div(position, width, rounding_mode="floor")
    points = torch.stack([position - row * width, row], dim=-1).to(noise.dtype) * stride
    return points.masked_fill(ignored[..., None], 0), labels
