"""Phase 2: prompts in the distillation loop (paper, section 3.3).

Teacher and student decode the same prompts; where their masks differ the loop clicks, and both decode again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_sam.data.sa1b import Batch
from edge_sam.distill.encoder_distillation import embedding_loss, teacher_embedding
from edge_sam.distill.losses import mask_bce, mask_dice, mask_focal, valid_area
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam, normalize_images
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import sample_clicks

FirstPrompt = Literal["box", "point"]


@dataclass(frozen=True)
class PromptLoop:
    """How a step prompts.

    Attributes:
        first_prompts: a step starts from one of these, drawn with equal chance.
        rounds: how often the masks are decoded.
        clicks: points that join the prompts between two rounds.
        keep_box: boxes stay in the later rounds; without it a step that starts from boxes has one round.
        masks_from_points: masks that are compared in a step that starts from points: 1, 3 or 4.
        masks_from_boxes: the same for boxes.
        seed: of the draw of the first prompt.
    """

    first_prompts: tuple[FirstPrompt, ...] = ("box", "point")
    rounds: int = 2
    clicks: int = 1
    keep_box: bool = True
    masks_from_points: int = 4
    masks_from_boxes: int = 1
    seed: int = 0

    def first_prompt(self, step: int) -> FirstPrompt:
        """Return what step ``step`` starts from: the same in every process."""
        drawn = np.random.default_rng([self.seed, step]).integers(len(self.first_prompts))
        return self.first_prompts[int(drawn)]

    def rounds_from(self, first: FirstPrompt) -> int:
        """Return how many rounds a step has."""
        return 1 if first == "box" and not self.keep_box else self.rounds

    def masks_from(self, first: FirstPrompt) -> int:
        """Return how many masks of each prompt are compared."""
        return self.masks_from_boxes if first == "box" else self.masks_from_points

    @property
    def clicks_in_step(self) -> int:
        """Noise values that a prompt needs."""
        return (self.rounds - 1) * self.clicks


@dataclass(frozen=True)
class PromptLossWeights:
    """What each loss counts; one without weight is not computed.

    Attributes:
        bce: binary cross entropy of the masks.
        dice: dice loss of the masks.
        focal: focal loss of the masks.
        iou: squared difference of the IoU that student and teacher predict for their masks.
        pixel_wise: phase 1's embedding loss.
    """

    bce: float = 5.0
    dice: float = 5.0
    focal: float = 0.0
    iou: float = 0.0
    pixel_wise: float = 0.0


@dataclass(frozen=True)
class _Decoded:
    """Masks (N, K, 4h, 4w) as logits and their predicted IoU (N, K)."""

    masks: Tensor
    iou: Tensor


class PromptDistillation(nn.Module):
    """A student SAM and the teacher's prompt encoder and mask decoder, with stored teacher embeddings.

    Args:
        student: what learns; freeze its parts beforehand, they then also keep their batch statistics.
        teacher_prompt_encoder: frozen here; left out when the student's, frozen too, is the same.
        teacher_mask_decoder: frozen here.
        loop: how a step prompts.
        weights: of the losses.
        temperature: None: the target is the teacher's logits thresholded at 0. A number: it is the sigmoid of the
            teacher's logits / temperature.
    """

    def __init__(
        self,
        student: Sam,
        teacher_prompt_encoder: PromptEncoder,
        teacher_mask_decoder: MaskDecoder,
        loop: PromptLoop,
        weights: PromptLossWeights,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        shared = _is_frozen(student.prompt_encoder) and _same_weights(student.prompt_encoder, teacher_prompt_encoder)
        self.teacher_prompt_encoder = None if shared else teacher_prompt_encoder.requires_grad_(False)
        self.teacher_mask_decoder = teacher_mask_decoder.requires_grad_(False)
        self.loop = loop
        self.weights = weights
        self.temperature = temperature
        _freeze_unreached(student, loop, weights)
        self.skips_parameters = not _is_frozen(student.prompt_encoder)
        """Whether a step may leave trainable parameters without a gradient: the embeddings of prompts it has not."""
        self.train()

    def train(self, mode: bool = True) -> "PromptDistillation":
        """Set the mode of what learns; frozen parts stay in evaluation mode, their batch statistics with them."""
        super().train(mode)
        for part in (*self.student.children(), self.teacher_prompt_encoder, self.teacher_mask_decoder):
            if part is not None and _is_frozen(part):
                part.eval()
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Simulate a user for both models.

        Args:
            batch: with teacher embeddings, boxes, points, and noise of ``loop.clicks_in_step`` values a prompt.
            step: batches seen before, by which the first prompt is drawn.

        Returns:
            Weighted losses by name; those of masks are means over the rounds.
        """
        student_embedding = self.student.image_encoder(normalize_images(batch.images, batch.sizes))
        first = self.loop.first_prompt(step)
        rounds = self.loop.rounds_from(first)
        valid = self._valid_pixels(batch)
        losses: dict[str, Tensor] = {}
        for student, teacher in self._decode_rounds(batch, student_embedding, first, valid):
            for name, loss in self._mask_losses(student, teacher, valid):
                losses[name] = losses.get(name, torch.zeros_like(loss)) + loss / rounds
        if self.weights.pixel_wise:
            losses["pixel_wise"] = self.weights.pixel_wise * embedding_loss(student_embedding, batch)
        return losses

    def _decode_rounds(
        self, batch: Batch, student_embedding: Tensor, first: FirstPrompt, valid: Tensor
    ) -> Iterator[tuple[_Decoded, _Decoded]]:
        """Yield what student and teacher decode in each round."""
        embeddings = student_embedding, teacher_embedding(batch)
        prompts = Prompts.from_boxes(batch.boxes) if first == "box" else Prompts.from_points(batch.points)
        count = self.loop.masks_from(first)
        noise = torch.split(batch.noise, self.loop.clicks, dim=1)
        for number in range(self.loop.rounds_from(first)):
            student, teacher = self._decode(embeddings, prompts, batch.image_index, count)
            yield student, teacher
            if number + 1 < self.loop.rounds_from(first):
                prompts = prompts.add_points(*self._click(student, teacher, valid, noise[number]))

    def _decode(
        self, embeddings: tuple[Tensor, Tensor], prompts: Prompts, image_index: Tensor, count: int
    ) -> tuple[_Decoded, _Decoded]:
        """Decode the same prompts by the student and, without gradient, by the teacher."""
        encoder = self.student.prompt_encoder
        encoded = encoder(prompts.points_and_labels, prompts.boxes, None)
        position = encoder.get_dense_pe()
        student = _Decoded(*self.student.mask_decoder(embeddings[0], position, *encoded, count, image_index))
        with torch.no_grad():
            if self.teacher_prompt_encoder is not None:
                encoded = self.teacher_prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
                position = self.teacher_prompt_encoder.get_dense_pe()
            teacher = _Decoded(*self.teacher_mask_decoder(embeddings[1], position, *encoded, count, image_index))
        return student, teacher

    @torch.no_grad()
    def _click(self, student: _Decoded, teacher: _Decoded, valid: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Click where the two differ on the mask that the teacher scores highest."""
        best = teacher.iou.argmax(dim=1)
        rows = torch.arange(len(best), device=best.device)
        target, predicted = (decoded.masks[rows, best] > MASK_THRESHOLD for decoded in (teacher, student))
        return sample_clicks(target, predicted, valid, noise, stride=self.student.image_size / target.shape[-1])

    def _mask_losses(self, student: _Decoded, teacher: _Decoded, valid: Tensor) -> Iterator[tuple[str, Tensor]]:
        weights = self.weights
        if self.temperature is None:
            target = teacher.masks > MASK_THRESHOLD
        else:
            target = (teacher.masks.float() / self.temperature).sigmoid()
        if weights.bce:
            yield "bce", weights.bce * mask_bce(student.masks, target, valid)
        if weights.dice:
            yield "dice", weights.dice * mask_dice(student.masks, target, valid)
        if weights.focal:
            yield "focal", weights.focal * mask_focal(student.masks, target, valid)
        if weights.iou:
            yield "iou", weights.iou * F.mse_loss(student.iou.float(), teacher.iou.float())

    def _valid_pixels(self, batch: Batch) -> Tensor:
        """Return (N, 4h, 4w) bool: where each prompt's low-resolution masks are not padding."""
        side = self.student.image_size // 4
        return valid_area(batch.sizes, (side, side), self.student.image_size)[batch.image_index]


def _is_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters())


def _same_weights(first: nn.Module, second: nn.Module) -> bool:
    others = second.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.state_dict().items())


def _freeze_unreached(student: Sam, loop: PromptLoop, weights: PromptLossWeights) -> None:
    """Freeze what no loss reaches, so that weight decay alone does not wear it down.

    That is the mask prompt's encoder, the IoU head unless the IoU is matched, and the networks of masks that no step
    compares.
    """
    student.prompt_encoder.mask_downscaling.requires_grad_(False)
    decoder = student.mask_decoder
    if not weights.iou:
        decoder.iou_prediction_head.requires_grad_(False)
    counts = {loop.masks_from(first) for first in loop.first_prompts}
    compared = {1: {0}, 3: {1, 2, 3}, 4: {0, 1, 2, 3}}
    reached = set().union(*(compared[count] for count in counts))
    for number, network in enumerate(decoder.output_hypernetworks_mlps):
        if number not in reached:
            network.requires_grad_(False)
