"""The loop that phase 2 and supervision share: prompts, masks, clicks where they are wrong, masks again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from edge_sam.data.sa1b import Batch
from edge_sam.distill.losses import valid_area
from edge_sam.modeling.sam import MASK_THRESHOLD
from edge_sam.prompts.batch import Prompts

FirstPrompt = Literal["box", "point"]
Clicks = tuple[Tensor, Tensor]
"""Points (N, K, 2) in input pixels and their labels (N, K)."""

Outcome = TypeVar("Outcome")


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

    def play(
        self,
        batch: Batch,
        first: FirstPrompt,
        decode: Callable[[Prompts], Outcome],
        click: Callable[[Outcome, Tensor], Clicks],
    ) -> Iterator[Outcome]:
        """Yield what each round of a step gives.

        Args:
            batch: boxes, points, and noise of ``clicks_in_step`` values a prompt.
            first: what the step starts from.
            decode: prompts to whatever comes of them.
            click: where to click on that, by noise (N, clicks) in [0, 1).
        """
        prompts = Prompts.from_boxes(batch.boxes) if first == "box" else Prompts.from_points(batch.points)
        noise = torch.split(batch.noise, self.clicks, dim=1)
        rounds = self.rounds_from(first)
        for number in range(rounds):
            outcome = decode(prompts)
            yield outcome
            if number + 1 < rounds:
                prompts = prompts.add_points(*click(outcome, noise[number]))


@dataclass(frozen=True)
class DecodedMasks:
    """Masks (N, K, 4h, 4w) as logits and their predicted IoU (N, K)."""

    logits: Tensor
    iou: Tensor

    def predicted(self, number: Tensor) -> Tensor:
        """Return one mask a prompt, bool (N, 4h, 4w), by its ``number`` (N,) among the K."""
        rows = torch.arange(len(number), device=number.device)
        return self.logits[rows, number] > MASK_THRESHOLD


def valid_pixels(batch: Batch, image_size: int) -> Tensor:
    """Return (N, 4h, 4w) bool: where each prompt's low-resolution masks are not padding."""
    side = image_size // 4
    return valid_area(batch.sizes, (side, side), image_size)[batch.image_index]


def mean_over_rounds(losses: Iterable[dict[str, Tensor]], rounds: int) -> dict[str, Tensor]:
    """Return the mean of scalar losses by name over the rounds of a step."""
    means: dict[str, Tensor] = {}
    for of_round in losses:
        for name, loss in of_round.items():
            means[name] = means.get(name, torch.zeros_like(loss)) + loss / rounds
    return means
