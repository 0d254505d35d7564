"""The proof that comes with an export: how far its answers are from PyTorch's, over real prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError
from edge_sam.export.latency import measure_latency
from edge_sam.export.prompts import prompts_of_picture
from edge_sam.runtime.graphs import Array, GraphPair
from edge_sam.runtime.predictor import GraphPredictor


@dataclass(frozen=True)
class Parity:
    """What was found.

    Attributes:
        pictures: how many.
        prompts: how many, over all pictures.
        max_difference: largest absolute difference of ``image_embeddings``, and of ``low_res_masks`` and
            ``iou_predictions`` that both decoders make of PyTorch's embedding.
        mean_mask_iou: of the masks in the picture's size from end to end: exported encoder, then exported decoder.
        worst_mask_iou: of all masks.
        latency_ms: by runtime (``pytorch`` is the unfolded network), then by step, see
            :func:`edge_sam.export.latency.measure_latency`.
    """

    pictures: int
    prompts: int
    max_difference: dict[str, float]
    mean_mask_iou: float
    worst_mask_iou: float
    latency_ms: dict[str, dict[str, float]]

    @property
    def miou_loss(self) -> float:
        """In points: 100 x (1 - mean mask IoU)."""
        return 100 * (1 - self.mean_mask_iou)


def compare(reference: GraphPair, exported: GraphPair, pictures: Sequence[NDArray[np.uint8]], runtime: str) -> Parity:
    """Ask both the same about each picture.

    Args:
        reference: PyTorch's, see :func:`edge_sam.export.reference.reference_graphs`.
        exported: what is judged; masks that it does not make are not compared.
        pictures: RGB uint8 (H, W, 3) each.
        runtime: what runs the export, for ``latency_ms``.

    Raises:
        EdgeSamError: no picture.
        NotFiniteError: PyTorch's answers are no numbers; an export's may be, and that is a difference.
    """
    if not pictures:
        raise EdgeSamError("parity needs a picture at least")
    ours, theirs = GraphPredictor(reference), GraphPredictor(exported, expect_finite=False)
    comparison = _Comparison(ours, theirs)
    for picture in pictures:
        ours.set_image(picture)
        theirs.set_image(picture)
        comparison.add_picture()
    latency = {"pytorch": measure_latency(reference, pictures[0]), runtime: measure_latency(exported, pictures[0])}
    ious = np.concatenate(comparison.ious)
    return Parity(
        len(pictures), comparison.prompts, comparison.differences, float(ious.mean()), float(ious.min()), latency
    )


class _Comparison:
    def __init__(self, ours: GraphPredictor, theirs: GraphPredictor) -> None:
        self.ours, self.theirs = ours, theirs
        self.count = theirs.graphs.description.num_multimask_outputs
        self.stability = theirs.graphs.description.use_stability_score
        self.differences = {"image_embeddings": 0.0, "low_res_masks": 0.0, "iou_predictions": 0.0}
        self.ious: list[NDArray[np.float64]] = []
        self.prompts = 0

    def add_picture(self) -> None:
        """Compare embeddings, then each prompt's answers."""
        embedding, other = self.ours.get_image_embedding(), self.theirs.get_image_embedding()
        self._differ("image_embeddings", embedding, other)
        for prompt in prompts_of_picture(self.ours):
            arguments = {**prompt.arguments(), "num_multimask_outputs": self.count}
            arguments["use_stability_score"] = self.stability
            masks, scores, logits = self.ours.predict(**arguments)
            self.ious.append(_ious(masks, self.theirs.predict(**arguments)[0]).ravel())
            self.theirs.features = embedding
            _, other_scores, other_logits = self.theirs.predict(**arguments)
            self.theirs.features = other
            self._differ("low_res_masks", logits, other_logits)
            self._differ("iou_predictions", scores, other_scores)
            self.prompts += 1 if masks.ndim == 3 else len(masks)

    def _differ(self, name: str, a: Array, b: Array) -> None:
        difference = float(np.abs(a.astype(np.float64) - b).max())
        # A NaN is worse than any number and must not be lost in a maximum.
        self.differences[name] = difference if np.isnan(difference) else max(self.differences[name], difference)


def _ious(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU of masks (..., H, W), pair by pair; 1 where both are empty."""
    common = (masks & others).sum(axis=(-1, -2))
    union = (masks | others).sum(axis=(-1, -2))
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)
