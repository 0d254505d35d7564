"""What exactly an average precision is of, as :mod:`edge_sam.evaluation.protocols` says it of a mean IoU."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_sam.evaluation.boundary import DILATION_RATIO
from edge_sam.evaluation.protocols import SELECT_IN_WORDS, MultimaskOutputs

Ranking = Literal["box", "box-x-iou"]
Style = Literal["coco", "lvis"]
ApSelect = Literal["score", "stability", "area"]

LVIS_MASKS_AN_IMAGE = 300
"""LVIS counts so many masks of an image, the best scored, of all categories together."""

COCO_MASKS_A_CATEGORY = 100
"""COCO counts so many masks of an image and category."""

_RANKED_BY = {"box": "the box's score", "box-x-iou": "the box's score x predicted IoU"}
_STYLE = {
    "coco": f"COCO rules: {COCO_MASKS_A_CATEGORY} masks an image and category, crowds ignored",
    "lvis": f"LVIS rules: {LVIS_MASKS_AN_IMAGE} masks an image, only categories that were looked for in it",
}


@dataclass(frozen=True)
class ApProtocol:
    """One way to turn boxes into scored masks, and to count them.

    Attributes:
        boxes: whose, in words: "ground truth", or a detector's file.
        style: COCO's rules or LVIS's.
        num_multimask_outputs: 1: the single-mask token. 3: the multi-mask tokens. 4: all.
        multimask_select: which of several masks is the answer, see
            :class:`edge_sam.evaluation.protocols.EvaluationProtocol`; the truth has no say.
        ranking: what masks are ranked by: the score of their box (1 for all of the ground truth's, which are then
            ranked by their order in the file), or that times the predicted IoU.
        boundary: whether AP by the boundary IoU is measured, too.
    """

    boxes: str
    style: Style = "coco"
    num_multimask_outputs: MultimaskOutputs = 1
    multimask_select: ApSelect = "score"
    ranking: Ranking = "box"
    boundary: bool = False

    def describe(self) -> str:
        """Return the whole protocol in one line."""
        masks = "single-mask token"
        if self.num_multimask_outputs > 1:
            masks = f"{SELECT_IN_WORDS[self.multimask_select]} of {self.num_multimask_outputs} masks"
        boundary = ""
        if self.boundary:
            boundary = (
                f"; boundary AP: the smaller of mask and boundary IoU (within {DILATION_RATIO:.0%} of the diagonal)"
            )
        return (
            f"boxes: {self.boxes}; {masks}; ranked by {_RANKED_BY[self.ranking]}; AP over IoU 0.50:0.05:0.95 at "
            f"original size; {_STYLE[self.style]}{boundary}; ground truth exact (as annotated)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all fields and the line."""
        return {"line": self.describe(), **asdict(self)}
