"""What exactly is measured. A number without its protocol means nothing, so every printed line carries one."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_sam.evaluation.boundary import DILATION_RATIO

PromptType = Literal["box", "point"]
PointFrom = Literal["point", "mask-center", "mask-rand", "box-center"]
MultimaskOutputs = Literal[1, 3, 4]
MultimaskSelect = Literal["score", "stability", "area", "oracle"]
GroundTruth = Literal["exact", "edgesam"]

MIN_CLICK_PIXELS = 10
"""A mask with fewer wrong pixels (at original size) needs no further click: its result stands for the later rounds."""

_GROUND_TRUTH = {
    "exact": "exact (as annotated, at original size)",
    "edgesam": "edgesam (resampled to the input size and back, > 0)",
}
SELECT_IN_WORDS = {
    "score": "highest predicted IoU",
    "stability": "highest stability score (offset 1)",
    "area": "largest area",
    "oracle": "best true IoU",
}


@dataclass(frozen=True)
class EvaluationProtocol:
    """One way to prompt, to choose a mask and to compare it.

    Attributes:
        prompt_type: what the first round is prompted with.
        point_from: where the point of ``prompt_type`` "point" comes from: the annotation's own ``point_coords``, the
            pixel of the mask farthest from its outside, a random pixel of the mask, or the middle of the box.
        refine_iters: rounds after the first; each adds a click in the region where prediction and ground truth differ,
            drawn uniformly there as in the distillation. The box stays; no mask prompt is given, as in the training.
        num_multimask_outputs: 1: the single-mask token. 3: the multi-mask tokens. 4: all. The same in every round.
        multimask_select: which of several masks counts and is clicked on: the one with the highest predicted IoU, the
            highest stability score (:func:`edge_sam.inference.predictor.stability_score`), the largest area (both of
            the low-resolution masks, without padding), or the best true IoU.
        ground_truth: "exact": the annotated mask, untouched. "edgesam": the published way, see
            :func:`edge_sam.evaluation.ground_truth.resample_as_published`.
        seed: of the clicks and of "mask-rand", which depend on it, the image id, the instance and the round alone.
        boundary: measure the boundary IoU, too (:mod:`edge_sam.evaluation.boundary`), of the masks that count.
    """

    prompt_type: PromptType = "box"
    point_from: PointFrom = "point"
    refine_iters: int = 0
    num_multimask_outputs: MultimaskOutputs = 1
    multimask_select: MultimaskSelect = "score"
    ground_truth: GroundTruth = "exact"
    seed: int = 0
    boundary: bool = False

    @property
    def name(self) -> str:
        """A few words for the head of a column: the first prompt, and how a mask was chosen if there were several."""
        first = "box" if self.prompt_type == "box" else self.point_from
        return first if self.num_multimask_outputs == 1 else f"{first}, {self.mask}"

    @property
    def mask(self) -> str:
        """Which mask counts, in a few words."""
        if self.num_multimask_outputs == 1:
            return "single token"
        return f"{self.multimask_select} of {self.num_multimask_outputs}"

    @property
    def rounds(self) -> tuple[str, ...]:
        """The names of the rounds: the first prompt, +1, +2, ..."""
        first = "box" if self.prompt_type == "box" else self.point_from
        return (first, *(f"+{number}" for number in range(1, self.refine_iters + 1)))

    @property
    def file_name(self) -> str:
        """What is measured, as part of a file's name: ``box_exact``, ``mask-center+2_oracle-of-3_edgesam``."""
        clicks = f"+{self.refine_iters}" if self.refine_iters else ""
        mask = "" if self.num_multimask_outputs == 1 else f"_{self.mask.replace(' ', '-')}"
        boundary = "_boundary" if self.boundary else ""
        return f"{self.rounds[0]}{clicks}{mask}_{self.ground_truth}{boundary}"

    def describe(self) -> str:
        """Return the whole protocol in one line."""
        prompt = "box" if self.prompt_type == "box" else f"point ({self.point_from})"
        if self.refine_iters:
            clicks = f"{self.refine_iters} click{'s' if self.refine_iters > 1 else ''}"
            prompt += f" then {clicks}, uniform in errors of >= {MIN_CLICK_PIXELS} px, no mask prompt"
        if self.uses_chance:
            prompt += f", seed {self.seed}"
        masks = "single-mask token"
        if self.num_multimask_outputs > 1:
            masks = f"{SELECT_IN_WORDS[self.multimask_select]} of {self.num_multimask_outputs} masks"
        boundary = f"; boundary IoU within {DILATION_RATIO:.0%} of the diagonal" if self.boundary else ""
        return f"{prompt}; {masks}; ground truth {_GROUND_TRUTH[self.ground_truth]}; mean over instances{boundary}"

    @property
    def uses_chance(self) -> bool:
        """Whether ``seed`` decides anything."""
        return self.refine_iters > 0 or (self.prompt_type == "point" and self.point_from == "mask-rand")

    def to_json(self) -> dict[str, Any]:
        """Return all fields, the name and the line."""
        return {"name": self.name, "line": self.describe(), **asdict(self)}


def guide_suite(
    ground_truth: GroundTruth = "exact", seed: int = 0, boundary: bool = False
) -> tuple[EvaluationProtocol, ...]:
    """Return the guide's protocols: box and centre with two clicks, the annotation's point, centre best of three."""
    return (
        EvaluationProtocol("box", "point", 2, 1, "score", ground_truth, seed, boundary),
        EvaluationProtocol("point", "point", 0, 1, "score", ground_truth, seed, boundary),
        EvaluationProtocol("point", "mask-center", 2, 1, "score", ground_truth, seed, boundary),
        EvaluationProtocol("point", "mask-center", 0, 3, "oracle", ground_truth, seed, boundary),
    )
