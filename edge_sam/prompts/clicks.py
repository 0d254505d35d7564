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
    in_row = disagree.sum(dim=2, dtype=torch.int32)
    up_to_row = in_row.cumsum(dim=1, dtype=torch.int32)
    count = up_to_row[:, -1:]
    wanted = (noise * count).floor().to(torch.int32).minimum(count - 1) + 1
    # The first row, and in it the first pixel, at which the running count reaches the wanted number.
    row = torch.searchsorted(up_to_row, wanted.contiguous()).clamp(max=disagree.shape[1] - 1)
    wanted_in_row = wanted - (up_to_row - in_row).gather(1, row)
    item = torch.arange(len(disagree), device=disagree.device)[:, None]
    in_columns = disagree[item, row].cumsum(dim=2, dtype=torch.int32)
    column = (in_columns < wanted_in_row[..., None]).sum(dim=2).clamp(max=disagree.shape[2] - 1)
    ignored = count < min_pixels
    labels = target[item, row, column].to(torch.int64).masked_fill(ignored, IGNORED)
    points = torch.stack([column, row], dim=-1).to(noise.dtype) * stride
    return points.masked_fill(ignored[..., None], 0), labels
