"""What a student is punished for: embeddings and masks that differ from the target's.

Every loss is computed in float32, also under autocast: sums over a whole mask lose too much in bfloat16. Validity masks
live at the resolution of what they mask, one for each image or prompt, never one for each mask.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def valid_area(sizes: Tensor, grid: tuple[int, int], image_size: int) -> Tensor:
    """Return which cells of a grid over the padded square hold a part of the image.

    Args:
        sizes: (B, 2) height and width in input pixels, before padding.
        grid: height and width of the grid.
        image_size: side of the padded square, in input pixels.

    Returns:
        (B, *grid) bool: true where the cell's first pixel lies in the image, so a partly covered cell counts.
    """
    rows = torch.arange(grid[0], device=sizes.device) * image_size
    columns = torch.arange(grid[1], device=sizes.device) * image_size
    valid_rows = rows < sizes[:, :1] * grid[0]
    valid_columns = columns < sizes[:, 1:] * grid[1]
    return valid_rows[:, :, None] & valid_columns[:, None, :]


def embedding_mse(
    student: Tensor, teacher: Tensor, valid: Tensor, mean_reciprocal_area: Tensor | None = None
) -> Tensor:
    """Squared distance of two embeddings over the unpadded area (paper, section 3.2).

    Mean over channels, sum over valid positions, mean over images, times the mean over images of 1 / (valid positions):
    each valid position of the batch weighs the same, whichever image it belongs to. This is the published computation.
    It differs from the plain "mean over the valid positions of each image, then over images" where images differ in
    shape; the golden array ``pixel_mse`` tells the two apart.

    Args:
        student: (B, C, h, w).
        teacher: (B, C, h, w), any floating type.
        valid: (B, h, w) bool.
        mean_reciprocal_area: scalar, the mean of 1 / (valid positions) over the images of all processes; without it,
            over this batch's.

    Returns:
        Scalar, float32.
    """
    error = (student.float() - teacher.float()).square().mean(dim=1)
    summed = (error * valid).flatten(1).sum(dim=1)
    if mean_reciprocal_area is None:
        mean_reciprocal_area = reciprocal_area(valid)
    return summed.mean() * mean_reciprocal_area


def reciprocal_area(valid: Tensor) -> Tensor:
    """Return the mean over images of 1 / (valid positions) of (B, h, w) bool: a scalar, float32."""
    return valid.flatten(1).sum(dim=1).float().reciprocal().mean()


def mask_bce(logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Binary cross entropy of each mask, mean over its valid pixels.

    Args:
        logits: (N, K, h, w).
        target: (N, K, h, w), or (N, 1, h, w) for all K; bool, or probabilities in [0, 1].
        valid: (N, h, w) bool; all pixels without it.

    Returns:
        (N, K), float32.
    """
    return _mean_over_valid(_cross_entropy(logits.float(), target.float()), valid)


def mask_focal(
    logits: Tensor, target: Tensor, valid: Tensor | None = None, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Focal loss (Lin et al. 2017) of each mask, mean over its valid pixels.

    Args:
        logits: (N, K, h, w).
        target: (N, K, h, w), or (N, 1, h, w) for all K; bool, or probabilities in [0, 1].
        valid: (N, h, w) bool; all pixels without it.
        alpha: weight of mask against background.
        gamma: how much pixels that are already right are played down.

    Returns:
        (N, K), float32.
    """
    logits, target = logits.float(), target.float()
    probability = logits.sigmoid()
    wrong = probability + target - 2 * probability * target
    weight = (1 - alpha) + (2 * alpha - 1) * target
    return _mean_over_valid(weight * wrong**gamma * _cross_entropy(logits, target), valid)


def mask_dice(logits: Tensor, target: Tensor, valid: Tensor | None = None, smoothing: float = 1.0) -> Tensor:
    """1 - dice of each mask over its valid pixels.

    Args:
        logits: (N, K, h, w).
        target: (N, K, h, w), or (N, 1, h, w) for all K; bool, or probabilities in [0, 1].
        valid: (N, h, w) bool; all pixels without it.
        smoothing: added to both sides of the fraction, in pixels: an empty mask met by an empty one costs nothing.

    Returns:
        (N, K), float32.
    """
    probability, target = logits.float().sigmoid().flatten(2), target.float().flatten(2)
    if valid is not None:
        target = target * valid.flatten(1)[:, None]
        probability = probability * valid.flatten(1)[:, None]
    shared = (probability * target).sum(dim=2)
    dice = (2 * shared + smoothing) / (probability.sum(dim=2) + target.sum(dim=2) + smoothing)
    return 1 - dice


def mask_iou(predicted: Tensor, coverage: Tensor, valid: Tensor) -> Tensor:
    """IoU of each predicted mask with a target that may cover pixels in part: sum of minima / sum of maxima.

    Args:
        predicted: (N, K, h, w) bool.
        coverage: (N, 1, h, w), share of each pixel that the target covers.
        valid: (N, h, w) bool, pixels that count.

    Returns:
        (N, K), float32 in [0, 1]; 0 where both are empty.
    """
    counted = (predicted & valid[:, None]).flatten(2).float()
    target = (coverage.float() * valid[:, None]).flatten(2)
    with torch.autocast(predicted.device.type, enabled=False):  # which would round the product to bfloat16
        shared = (counted @ target.transpose(1, 2)).squeeze(2)  # of a mask and a share the minimum is the product
    union = counted.sum(dim=2) + target.sum(dim=2) - shared
    return shared / union.clamp(min=torch.finfo(torch.float32).tiny)


@dataclass(frozen=True)
class PromptLossWeights:
    """What each loss of the prompt loop counts; one without weight is not computed.

    Attributes:
        bce: binary cross entropy of the masks.
        dice: dice loss of the masks.
        focal: focal loss of the masks.
        iou: squared difference of the IoU that the student predicts for its masks to the target's.
        pixel_wise: phase 1's embedding loss.
    """

    bce: float = 5.0
    dice: float = 5.0
    focal: float = 0.0
    iou: float = 0.0
    pixel_wise: float = 0.0

    def of_masks(self, logits: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses of each mask by name, (N, K) each; arguments as those of :func:`mask_bce`."""
        losses: dict[str, Tensor] = {}
        if self.bce:
            losses["bce"] = self.bce * mask_bce(logits, target, valid)
        if self.dice:
            losses["dice"] = self.dice * mask_dice(logits, target, valid)
        if self.focal:
            losses["focal"] = self.focal * mask_focal(logits, target, valid)
        return losses


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")


def _mean_over_valid(loss: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of (N, K, h, w) over the valid pixels (N, h, w) of each mask: (N, K)."""
    if valid is None:
        return loss.flatten(2).mean(dim=2)
    area = valid.flatten(1).sum(dim=1, keepdim=True)
    return (loss * valid[:, None]).flatten(2).sum(dim=2) / area
