"""A comparison for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import edge_sam
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.evaluation.bootstrap import SHARE
from edge_sam.evaluation.buckets import by_size, by_threshold
from edge_sam.evaluation.compared_parts import MEASURED_FOLDER, ComparedPart, ComparisonRequest
from edge_sam.evaluation.comparison import Comparison, Estimate
from edge_sam.evaluation.comparison_words import comparison_line


def comparison_to_json(request: ComparisonRequest, parts: Sequence[ComparedPart]) -> dict[str, Any]:
    """Return everything but the single instances' numbers, which are in the files that are named."""
    return {
        "edge_sam": edge_sam.__version__,
        "models": [
            {
                "name": model.name,
                "file": model.source,
                "sha256": model.sha256,
                "network": model.network,
                "parameters": model.parameters,
                "precision": model.precision(request.amp),
                "device": model.device.type,
            }
            for model in request.models
        ],
        "comparisons": [
            _comparison(part, number, comparison)
            for part in parts
            for number, comparison in enumerate(part.comparisons)
        ],
    }


def _comparison(part: ComparedPart, number: int, comparison: Comparison) -> dict[str, Any]:
    first = comparison.results[0]
    return {
        "line": comparison_line(comparison),
        "dataset": comparison.dataset,
        "chosen": comparison.chosen,
        "data_sha256": first.data_sha256,
        "data": asdict(part.data),
        "unannotated_images": part.dataset.unannotated,
        "crowds": part.dataset.crowds if isinstance(part.dataset, CocoDataset) else 0,
        "protocol": first.protocol.to_json(),
        "rounds": list(comparison.rounds),
        "images": first.images,
        "instances": first.instances,
        "interval_share": SHARE,
        "models": [
            _model(comparison, place, f"{MEASURED_FOLDER}/{part.files[number][place]}")
            for place in range(len(comparison.models))
        ],
        "cases": [
            {"kind": case.kind, "image_id": case.image_id, "annotation": case.name}
            | {"iou": dict(zip(comparison.models, case.iou, strict=True))}
            for case in part.cases[number]
        ],
        "empty": [{"image_id": image_id, "annotation": name} for image_id, name in first.empty],
        "refusals": [vars(refusal) for refusal in first.refusals],
    }


def _model(comparison: Comparison, place: int, file: str) -> dict[str, Any]:
    result = comparison.results[place]
    return {
        "name": comparison.models[place],
        "miou": [_estimate(one) for one in comparison.estimates[place]],
        "difference_to_first": [_estimate(one) for one in comparison.differences[place]],
        "histogram": [comparison.histogram(place, number).tolist() for number in range(len(comparison.rounds))],
        "by_size": {name: asdict(bucket) for name, bucket in by_size(result.iou, result.areas).items()},
        "share_with_iou_at_least": {str(threshold): share for threshold, share in by_threshold(result.iou).items()},
        "failures": [
            {"image_id": image_id, "annotation": name, "round": when} for image_id, name, when in result.failures
        ],
        "file": file,
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": list(estimate.interval)}
