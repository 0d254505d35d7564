"""What a model answers to prompts: of several masks the one that counts, and where its numbers are none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edge_sam.evaluation.protocols import MultimaskOutputs, MultimaskSelect
from edge_sam.inference.predictor import stability_score
from edge_sam.modeling.sam import MASK_THRESHOLD
from edge_sam.prompts.batch import Prompts

PromptDecoder = Callable[[tuple[Tensor, Tensor] | None, Tensor | None, None, int], tuple[Tensor, Tensor]]
"""Points and labels, boxes, no masks, and K become low-resolution logits (n, K, 4h, 4w) and predicted IoU (n, K)."""


class PromptedModel(Protocol):
    """What the evaluation needs of a model: a :class:`edge_sam.modeling.sam.Sam`, or what stands for one."""

    @property
    def image_size(self) -> int:
        """Side of the square input."""

    @property
    def image_encoder(self) -> Callable[..., Any]:
        """Give the embeddings of what :meth:`preprocess` gave."""

    def preprocess(self, images: Tensor, sizes: Tensor) -> Any:  # noqa: ANN401 - for the encoder alone
        """Take padded pictures as :meth:`edge_sam.modeling.sam.Sam.preprocess` does."""

    def decoder_for(self, embedding: Tensor) -> PromptDecoder:
        """Return what decodes prompts of the image with this embedding (1, 256, h, w)."""

    def modules(self) -> Iterator[nn.Module]:
        """Go through all modules."""

    def eval(self) -> Any:  # noqa: ANN401 - nn.Module's
        """Put all modules into eval mode."""


@dataclass(frozen=True)
class Answers:
    """The answers to n prompts.

    Attributes:
        masks: low-resolution logits float32 (n, K, 4h, 4w) that may be the answer: K = 1 unless by oracle.
        scores: predicted IoU float32 (n, K).
        failed: bool (n,), where the model gave numbers that are none (NaN, infinity): there the mask is empty.
    """

    masks: Tensor
    scores: Tensor
    failed: Tensor


class AskedImage:
    """An embedded image that is asked by prompts.

    Args:
        sam: in eval mode.
        embedding: (1, 256, h, w) of the image.
        size: (h, w) of the resized image before padding.

    Attributes:
        image_size: side of the padded square.
        device: where the answers are, and where prompts must be.
    """

    def __init__(self, sam: PromptedModel, embedding: Tensor, size: tuple[int, int]) -> None:
        self._decode, self._size = sam.decoder_for(embedding), size
        self.image_size, self.device = sam.image_size, embedding.device

    def answer(self, prompts: Prompts, num_multimask_outputs: MultimaskOutputs, select: MultimaskSelect) -> Answers:
        """Decode n prompts.

        Args:
            prompts: in input pixels.
            num_multimask_outputs: masks decoded.
            select: which of them counts, see :class:`edge_sam.evaluation.protocols.EvaluationProtocol`.
        """
        masks, scores = self._decode(prompts.points_and_labels, prompts.boxes, None, num_multimask_outputs)
        masks, scores = masks.float(), scores.float()
        # One pass: a sum with such a number in it is none itself.
        failed = ~(masks.sum(dim=(1, 2, 3)).isfinite() & scores.sum(dim=1).isfinite())
        masks = masks.masked_fill(failed[:, None, None, None], -1.0)
        height, width = (-(-side * masks.shape[-1] // self.image_size) for side in self._size)
        kept = choose(masks, scores, select, (height, width))
        rows = torch.arange(len(masks), device=masks.device)[:, None]
        return Answers(masks[rows, kept], scores[rows, kept], failed)


def choose(masks: Tensor, scores: Tensor, select: MultimaskSelect, inside: tuple[int, int]) -> Tensor:
    """Return which of several masks counts (n, 1); by oracle that is all of them (n, K): the truth decides later.

    Args:
        masks: logits (n, K, 4h, 4w).
        scores: predicted IoU (n, K).
        select: see :class:`edge_sam.evaluation.protocols.EvaluationProtocol`.
        inside: rows and columns that are not padding; only these count for area and stability.
    """
    count = masks.shape[1]
    if select == "oracle" or count == 1:
        return torch.arange(count, device=masks.device).expand(len(masks), count)
    shown = masks[..., : inside[0], : inside[1]]
    if select == "area":
        scores = (shown > MASK_THRESHOLD).sum(dim=(2, 3))
    elif select == "stability":
        scores = stability_score(shown)
    return scores.argmax(dim=1, keepdim=True)
