"""Training on annotated masks: the prompt loop of phase 2 with the ground truth in the teacher's place.

As SAM is trained (Segment Anything, appendix A), but for two things: rounds are as in phase 2 (clicks drawn uniformly
in the error, no mask prompt), and the single mask learns from every prompt, an ambiguous one too.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_sam.data.sa1b import Batch
from edge_sam.distill.encoder_distillation import teacher_embedding
from edge_sam.distill.frozen_parts import freeze_unreached, is_frozen, keep_frozen_in_evaluation_mode
from edge_sam.distill.losses import PromptLossWeights, mask_iou
from edge_sam.distill.pixel_grouping import grouping_logits, surroundings
from edge_sam.distill.prompt_loop import Clicks, DecodedMasks, PromptLoop, mean_over_rounds, valid_pixels
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam, normalize_images
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import sample_clicks

FULL_COVERAGE = 255
"""What ``Batch.masks`` says of a low-resolution pixel that lies inside the mask as a whole."""


class PromptSupervision(nn.Module):
    """A SAM before the masks that people drew.

    One point alone is ambiguous: of the three masks that it gives, the one with the lowest loss learns, and the single
    mask with it. Boxes, and points once there are several, have the single mask alone. The IoU head learns the true IoU
    of every mask that was decoded.

    Args:
        student: what learns; freeze its parts beforehand, they then also keep their batch statistics.
        loop: how a step prompts; ``masks_from_points`` is 4, or 1 to leave the three masks alone.
        weights: of the losses; there is no embedding to match, so ``pixel_wise`` is 0.
        stored_embeddings: batches bring the image embeddings of the student's frozen encoder along.
        pixel_grouping: weight of a loss on the pixels' features themselves, see :mod:`edge_sam.distill.pixel_grouping`;
            it is made of the masks' losses, with their weights.
    """

    def __init__(
        self,
        student: Sam,
        loop: PromptLoop,
        weights: PromptLossWeights,
        stored_embeddings: bool = False,
        pixel_grouping: float = 0.0,
    ) -> None:
        super().__init__()
        if loop.masks_from_points == 3 or loop.masks_from_boxes != 1 or weights.pixel_wise:
            raise ValueError(f"supervision has the single mask in every round and no embedding loss: {loop}, {weights}")
        if stored_embeddings and not is_frozen(student.image_encoder):
            raise ValueError("stored embeddings take the place of a frozen encoder")
        self.student = student
        self.loop = loop
        self.weights = weights
        self.stored_embeddings = stored_embeddings
        self.pixel_grouping = pixel_grouping
        freeze_unreached(student, loop, weights)
        self.skips_parameters = not is_frozen(student.prompt_encoder)
        """Whether a step may leave trainable parameters without a gradient: the embeddings of prompts it has not."""
        self.train()

    def train(self, mode: bool = True) -> "PromptSupervision":
        """Set the mode of what learns; frozen parts stay in evaluation mode, their batch statistics with them."""
        super().train(mode)
        keep_frozen_in_evaluation_mode(self.student.children())
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Simulate a user who knows the masks.

        Args:
            batch: with masks, boxes, points, and noise of ``loop.clicks_in_step`` values a prompt.
            step: batches seen before, by which the first prompt is drawn.

        Returns:
            Weighted losses by name, means over prompts and rounds; after one point alone they are the sum of the single
            mask's and of the best of the three.
        """
        if batch.masks is None:
            raise EdgeSamError("the batch holds no masks: the data set must be read with masks")
        target = (batch.masks.float() / FULL_COVERAGE)[:, None]
        valid = valid_pixels(batch, self.student.image_size)
        first = self.loop.first_prompt(step)
        embedding = self._embedding(batch)
        rounds = self.loop.play(
            batch,
            first,
            partial(self._decode, embedding, batch.image_index),
            partial(self._click, target, valid),
        )
        losses = mean_over_rounds(
            (self._losses(decoded, target, valid) for decoded in rounds), self.loop.rounds_from(first)
        )
        if self.pixel_grouping:
            losses["grouping"] = self.pixel_grouping * self._grouping_loss(embedding, batch, target, valid)
        return losses

    def _embedding(self, batch: Batch) -> Tensor:
        if self.stored_embeddings:
            return teacher_embedding(batch)
        embedding: Tensor = self.student.image_encoder(normalize_images(batch.images, batch.sizes))
        return embedding

    def _decode(self, embedding: Tensor, image_index: Tensor, prompts: Prompts) -> DecodedMasks:
        encoder = self.student.prompt_encoder
        encoded = encoder(prompts.points_and_labels, prompts.boxes, None)
        count = self.loop.masks_from_points if _is_ambiguous(prompts) else 1
        position = encoder.get_dense_pe()
        return DecodedMasks(*self.student.mask_decoder(embedding, position, *encoded, count, image_index))

    @torch.no_grad()
    def _click(self, target: Tensor, valid: Tensor, decoded: DecodedMasks, noise: Tensor) -> Clicks:
        """Click where the mask that scores highest is wrong."""
        wanted, predicted = target[:, 0] > 0.5, decoded.predicted(decoded.iou.argmax(dim=1))
        return sample_clicks(wanted, predicted, valid, noise, stride=self.student.image_size / wanted.shape[-1])

    def _losses(self, decoded: DecodedMasks, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        of_masks = self.weights.of_masks(decoded.logits, target, valid)
        losses = {name: loss.mean() for name, loss in _of_trained_masks(of_masks).items()}
        if self.weights.iou:
            iou = mask_iou(decoded.logits > MASK_THRESHOLD, target, valid)
            losses["iou"] = self.weights.iou * F.mse_loss(decoded.iou.float(), iou)
        return losses

    def _grouping_loss(self, embedding: Tensor, batch: Batch, target: Tensor, valid: Tensor) -> Tensor:
        features = self.student.mask_decoder.output_upscaling(embedding)
        logits = grouping_logits(features, target, batch.image_index)
        near = valid & surroundings(batch.boxes, target.shape[-1], self.student.image_size)
        return torch.stack([loss.mean() for loss in self.weights.of_masks(logits, target, near).values()]).sum()


def _is_ambiguous(prompts: Prompts) -> bool:
    """Whether a prompt is one point alone, which may mean a thing, a part of it, or what it is a part of."""
    return prompts.boxes is None and prompts.points is not None and prompts.points.shape[1] == 1


def _of_trained_masks(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return (N,) losses of the masks that learn, out of (N, K) of all: the first's plus the best of the others'."""
    total = torch.stack([loss.detach() for loss in losses.values()]).sum(dim=0)
    if total.shape[1] == 1:
        return {name: loss[:, 0] for name, loss in losses.items()}
    best = 1 + total[:, 1:].argmin(dim=1, keepdim=True)
    return {name: loss[:, 0] + loss.gather(1, best)[:, 0] for name, loss in losses.items()}
