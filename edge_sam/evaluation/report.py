"""The outcome of an evaluation for people (a table) and for programs (JSON)."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Group, RenderableType
from rich.table import Table

import edge_sam
from edge_sam.atomic_writing import write_atomically
from edge_sam.evaluation.miou import MiouResult

_THRESHOLDS = (0.5, 0.75, 0.9)
_SHOWN = 5
"""So many names of a longer list are printed; the JSON file has all."""


def render_results(results: Sequence[MiouResult]) -> RenderableType:
    """Return a table with one line a protocol, and what could not be measured."""
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
    return Group(table, *_left_out(results))


def _left_out(results: Sequence[MiouResult]) -> list[str]:
    lines = []
    for result in results:
        if result.empty:
            names = [f"{image_id} #{number}" for image_id, number in result.empty]
            lines.append(f"{result.protocol.name}: {len(names)} masks without a pixel left out: {_first(names)}")
    refusals = results[0].refusals
    if refusals:
        kinds = ", ".join(
            f"{count} of kind {kind}" for kind, count in sorted(Counter(r.kind for r in refusals).items())
        )
        names = [f"{refusal.image_id} ({refusal.reason})" for refusal in refusals]
        lines.append(f"could not be read ({kinds}): {_first(names)}")
    return lines


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "; ".join(names[:_SHOWN]) + more


def results_to_json(results: Sequence[MiouResult], provenance: dict[str, Any]) -> dict[str, Any]:
    """Return everything but the single instances, as JSON knows it; ``provenance`` is copied in."""
    return {
        "edge_sam": edge_sam.__version__,
        "torch": torch.__version__,
        **provenance,
        "results": [_result_to_json(result) for result in results],
        "refusals": [vars(refusal) for refusal in results[0].refusals],
    }


def _result_to_json(result: MiouResult) -> dict[str, Any]:
    return {
        "protocol": result.protocol.to_json(),
        "rounds": list(result.protocol.rounds),
        "miou": result.miou,
        "images": result.images,
        "instances": result.instances,
        "share_with_iou_at_least": {str(threshold): result.share_above(threshold) for threshold in _THRESHOLDS},
        "empty": [{"image_id": image_id, "annotation": number} for image_id, number in result.empty],
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=2) + "\n")
