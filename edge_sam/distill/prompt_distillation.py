"""Phase 2: prompts in the distillation loop (paper, section 3.3).

Teacher and student decode the same prompts; where their masks differ the loop clicks, and both decode again.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_sam.data.sa1b import Batch
from edge_sam.distill.encoder_distillation import embedding_loss, teacher_embedding
from edge_sam.distill.frozen_parts import freeze_unreached, is_frozen, keep_frozen_in_evaluation_mode
from edge_sam.distill.losses import PromptLossWeights
from edge_sam.distill.prompt_loop import Clicks, DecodedMasks, PromptLoop, mean_over_rounds, valid_pixels
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam, normalize_images
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import sample_clicks

_Both = tuple[DecodedMasks, DecodedMasks]
"""What student and teacher decode."""


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
        shared = is_frozen(student.prompt_encoder) and _same_weights(student.prompt_encoder, teacher_prompt_encoder)
        self.teacher_prompt_encoder = None if shared else teacher_prompt_encoder.requires_grad_(False)
        self.teacher_mask_decoder = teacher_mask_decoder.requires_grad_(False)
        self.loop = loop
        self.weights = weights
        self.temperature = temperature
        freeze_unreached(student, loop, weights)
        self.skips_parameters = not is_frozen(student.prompt_encoder)
        """Whether a step may leave trainable parameters without a gradient: the embeddings of prompts it has not."""
        self.train()

    def train(self, mode: bool = True) -> "PromptDistillation":
        """Set the mode of what learns; frozen parts stay in evaluation mode, their batch statistics with them."""
        super().train(mode)
        teacher = (self.teacher_prompt_encoder, self.teacher_mask_decoder)
        keep_frozen_in_evaluation_mode([*self.student.children(), *(part for part in teacher if part is not None)])
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
        embeddings = student_embedding, teacher_embedding(batch)
        first = self.loop.first_prompt(step)
        valid = valid_pixels(batch, self.student.image_size)
        rounds = self.loop.play(
            batch,
            first,
            partial(self._decode, embeddings, batch.image_index, self.loop.masks_from(first)),
            partial(self._click, valid),
        )
        losses = mean_over_rounds((self._losses(both, valid) for both in rounds), self.loop.rounds_from(first))
        if self.weights.pixel_wise:
            losses["pixel_wise"] = self.weights.pixel_wise * embedding_loss(student_embedding, batch)
        return losses

    def _decode(self, embeddings: tuple[Tensor, Tensor], image_index: Tensor, count: int, prompts: Prompts) -> _Both:
        """Decode the same prompts by the student and, without gradient, by the teacher."""
        encoder = self.student.prompt_encoder
        encoded = encoder(prompts.points_and_labels, prompts.boxes, None)
        position = encoder.get_dense_pe()
        student = DecodedMasks(*self.student.mask_decoder(embeddings[0], position, *encoded, count, image_index))
        with torch.no_grad():
            if self.teacher_prompt_encoder is not None:
                encoded = self.teacher_prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
                position = self.teacher_prompt_encoder.get_dense_pe()
            teacher = DecodedMasks(*self.teacher_mask_decoder(embeddings[1], position, *encoded, count, image_index))
        return student, teacher

    @torch.no_grad()
    def _click(self, valid: Tensor, both: _Both, noise: Tensor) -> Clicks:
        """Click where the two differ on the mask that the teacher scores highest."""
        student, teacher = both
        best = teacher.iou.argmax(dim=1)
        target, predicted = teacher.predicted(best), student.predicted(best)
        return sample_clicks(target, predicted, valid, noise, stride=self.student.image_size / target.shape[-1])

    def _losses(self, both: _Both, valid: Tensor) -> dict[str, Tensor]:
        student, teacher = both
        if self.temperature is None:
            target = teacher.logits > MASK_THRESHOLD
        else:
            target = (teacher.logits.float() / self.temperature).sigmoid()
        of_masks = self.weights.of_masks(student.logits, target, valid)
        losses = {name: loss.mean() for name, loss in of_masks.items()}
        if self.weights.iou:
            losses["iou"] = self.weights.iou * F.mse_loss(student.iou.float(), teacher.iou.float())
        return losses


def _same_weights(first: nn.Module, second: nn.Module) -> bool:
    others = second.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.state_dict().items())
