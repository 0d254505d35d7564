"""The outcome of an evaluation for people (a table) and for programs (JSON)."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

import edge_sam
from edge_sam.atomic_writing import write_atomically
from edge_sam.evaluation.bootstrap import DRAWS, INTERVAL_IN_WORDS, SEED, SHARE, Interval, interval_by_image
from edge_sam.evaluation.buckets import by_size, by_threshold
from edge_sam.evaluation.miou import MiouResult
from edge_sam.modeling.network_recognition import Network

_HASH_DIGITS = 12
_SHOWN = 5
"""So many names of a longer list are printed; the JSON file has all."""


def model_in_words(checkpoint_sha256: str, network: Network, precision: str) -> str:
    """Say what answered: one file gives other numbers at another size, with another upsampling or number format."""
    return f"checkpoint {checkpoint_sha256[:_HASH_DIGITS]} ({network.in_words}; {precision})"


def result_line(result: MiouResult, model: str, chosen: str) -> str:
    """Return the line without which a number of ``result`` is not to be told: how, of which model, on which data.

    Args:
        result: whose numbers.
        model: see :func:`model_in_words`.
        chosen: in words, which images and instances of which data set were taken.
    """
    return (
        f"{result.protocol.describe()}; {model}, "
        f"data {result.data_sha256[:_HASH_DIGITS]}: {chosen}, {result.images} images, {result.instances} instances, "
        f"edge_sam {edge_sam.__version__}"
    )


def render_results(results: Sequence[MiouResult], model: str, chosen: str) -> RenderableType:
    """Return a table with one line a protocol; what each line means, see :func:`result_line`; and what is missing."""
    clicks = max(result.protocol.refine_iters for result in results)
    table = Table(title="mean IoU over instances")
    for column in ("prompt", "mask", "ground truth"):
        table.add_column(column)
    for column in ("first", *(f"+{number}" for number in range(1, clicks + 1)), "instances", "images"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        values = [f"{value:.4f}" for value in result.miou]
        values += [""] * (1 + clicks - len(values))
        protocol = result.protocol
        what = (protocol.rounds[0], protocol.mask, protocol.ground_truth)
        table.add_row(*what, *values, str(result.instances), str(result.images))
    details = [_details(result, model, chosen) for result in results]
    return Group(table, *map(escape, [*details, *_left_out(results)]))


def _details(result: MiouResult, model: str, chosen: str) -> str:
    intervals = _in_words(_intervals(result.iou, result))
    sizes = ", ".join(
        f"{name} {' '.join(f'{value:.4f}' for value in bucket.miou) or '-'} ({bucket.instances})"
        for name, bucket in by_size(result.iou, result.areas).items()
    )
    boundary = ""
    if result.boundary_iou is not None and result.boundary_miou is not None:
        within = _in_words(_intervals(result.boundary_iou, result))
        boundary = f"  mean boundary IoU: {' '.join(f'{value:.4f}' for value in result.boundary_miou)} ({within})\n"
    return (
        f"{result.protocol.name}: {result_line(result, model, chosen)}\n{boundary}"
        f"  {INTERVAL_IN_WORDS}: {intervals}\n  by size (instances): {sizes}"
    )


def _intervals(iou: NDArray[np.float64], result: MiouResult) -> list[Interval]:
    """Return the interval of each round of a result's IoU or boundary IoU (n, rounds)."""
    return [interval_by_image(column, result.image_ids) for column in iou.T]


def _in_words(intervals: Sequence[Interval]) -> str:
    return ", ".join(f"{low:.4f} to {high:.4f}" for low, high in intervals)


def _left_out(results: Sequence[MiouResult]) -> list[str]:
    lines = []
    for result in results:
        if result.failures:
            names = [f"{image_id} annotation {name} ({when})" for image_id, name, when in result.failures]
            lines.append(
                f"{result.protocol.name}: {len(names)} answers of NaN or infinity count as IoU 0: {first_names(names)}"
            )
        if result.empty:
            names = [f"{image_id} annotation {name}" for image_id, name in result.empty]
            lines.append(f"{result.protocol.name}: {len(names)} masks without a pixel left out: {first_names(names)}")
    refusals = results[0].refusals
    if refusals:
        kinds = ", ".join(
            f"{count} of kind {kind}" for kind, count in sorted(Counter(r.kind for r in refusals).items())
        )
        names = [f"{refusal.image_id} ({refusal.reason})" for refusal in refusals]
        lines.append(f"could not be read ({kinds}): {first_names(names)}")
    return lines


def first_names(names: Sequence[str]) -> str:
    """Return the first few of a list of names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "; ".join(names[:_SHOWN]) + more


def results_to_json(
    results: Sequence[MiouResult], model: str, provenance: dict[str, Any], chosen: str
) -> dict[str, Any]:
    """Return everything but the single instances, as JSON knows it, see :func:`result_line`; with ``provenance``."""
    return {
        "edge_sam": edge_sam.__version__,
        "torch": torch.__version__,
        **provenance,
        "results": [_result_to_json(result, model, chosen) for result in results],
        "refusals": [vars(refusal) for refusal in results[0].refusals],
    }


def _result_to_json(result: MiouResult, model: str, chosen: str) -> dict[str, Any]:
    return {
        "line": result_line(result, model, chosen),
        "protocol": result.protocol.to_json(),
        "data_sha256": result.data_sha256,
        "rounds": list(result.protocol.rounds),
        "miou": result.miou,
        "boundary_miou": result.boundary_miou,
        "interval": {
            "share": SHARE,
            "draws": DRAWS,
            "seed": SEED,
            "by_round": _intervals(result.iou, result),
            "boundary_by_round": None if result.boundary_iou is None else _intervals(result.boundary_iou, result),
        },
        "images": result.images,
        "instances": result.instances,
        "by_size": {name: asdict(bucket) for name, bucket in by_size(result.iou, result.areas).items()},
        "share_with_iou_at_least": {str(threshold): share for threshold, share in by_threshold(result.iou).items()},
        "failures": [
            {"image_id": image_id, "annotation": name, "round": when} for image_id, name, when in result.failures
        ],
        "empty": [{"image_id": image_id, "annotation": name} for image_id, name in result.empty],
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=2) + "\n")
