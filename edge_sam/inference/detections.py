"""Found masks as detections of the package ``supervision``, which draws, tracks, counts and exports them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(masks: NDArray[np.bool_], scores: NDArray[np.float32]) -> "Detections":
    """Return one detection for each mask that has a pixel.

    Args:
        masks: (N, H, W): one mask an object, e.g. ``masks[:, 0]`` of a batch that was asked for with
            ``num_multimask_outputs=1``.
        scores: (N,), which become the confidence.

    Returns:
        ``supervision.Detections`` with ``xyxy`` (right and bottom beyond the last pixel), ``mask``, ``confidence``.

    Raises:
        EdgeSamError: ``supervision`` is not installed; arrays that do not belong together.
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise EdgeSamError("needs the package supervision: pip install 'edge-sam[supervision]'") from error
    masks, scores = np.asarray(masks), np.asarray(scores)
    if masks.ndim != 3 or masks.dtype != np.bool_ or scores.shape != masks.shape[:1]:
        raise EdgeSamError(
            f"masks are bool (N, H, W) and scores (N,), not {masks.dtype} {masks.shape} and {scores.shape}"
        )
    kept = masks.any(axis=(1, 2))
    masks, scores = masks[kept], scores[kept]
    boxes = np.array([_box(mask) for mask in masks], dtype=np.float32).reshape(-1, 4)
    return Detections(xyxy=boxes, mask=masks, confidence=scores.astype(np.float32))


def records_to_detections(records: Sequence[Mapping[str, Any]]) -> "Detections":
    """Return the detections of what ``SamAutomaticMaskGenerator.generate`` found, by their predicted IoU.

    Raises:
        EdgeSamError: as :func:`to_detections`; or the masks are run lengths (``output_mode`` is not ``binary_mask``).
    """
    if any(not isinstance(record["segmentation"], np.ndarray) for record in records):
        raise EdgeSamError("detections have bool masks: generate with output_mode='binary_mask'")
    masks = [record["segmentation"] for record in records]
    scores = np.array([record["predicted_iou"] for record in records], dtype=np.float32)
    return to_detections(np.stack(masks) if masks else np.zeros((0, 1, 1), dtype=np.bool_), scores)


def _box(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
