"""The page of a comparison: one file, which opens offline."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import torch

import edge_sam
from edge_sam.evaluation.bootstrap import DRAWS, SHARE
from edge_sam.evaluation.buckets import by_size
from edge_sam.evaluation.case_masks import read_image
from edge_sam.evaluation.case_pictures import FirstPrompt, draw_case
from edge_sam.evaluation.compared_parts import ComparedPart, ComparisonRequest
from edge_sam.evaluation.comparison import BINS, Case, Comparison, Estimate
from edge_sam.evaluation.comparison_words import comparison_line, finding, left_out, not_chosen, prompt_name
from edge_sam.evaluation.instances import EvaluationDataset
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.pages.charts import Line, line_chart
from edge_sam.pages.pictures import Colour
from edge_sam.pages.rendering import render_page

COLOURS: tuple[Colour, ...] = (
    (72, 160, 255), (255, 149, 43), (78, 201, 142), (190, 140, 255), (240, 98, 146), (64, 200, 210), (205, 190, 60),
    (150, 163, 178),
)  # fmt: skip
"""Of the models in pictures; the style sheet has the same for text, as classes model-0, model-1, ..."""

_SHIFT = 0.035
"""How far apart models stand in the chart over clicks, so that no interval hides another."""
_MINUS = "\N{MINUS SIGN}"


def render_comparison(request: ComparisonRequest, parts: Sequence[ComparedPart]) -> str:
    """Return the page."""
    comparisons = [comparison for part in parts for comparison in part.comparisons]
    return render_page(
        "edge_sam.evaluation",
        "comparison",
        finding=list(finding(comparisons)),
        models=[
            {
                "name": model.name,
                "style": _style(number),
                "kind": model.kind,
                "parameters": f"{model.parameters / 1e6:.1f} M" if model.parameters is not None else "",
                "sha256": model.sha256,
                "source": model.source,
            }
            for number, model in enumerate(request.models)
        ],
        parts=[_part(request, part) for part in parts],
        left_out=[
            *(line for part in parts for line in not_chosen(part)),
            *(line for comparison in comparisons for line in left_out(comparison)),
        ],
        interval=f"{SHARE:.0%}",
        draws=DRAWS,
        provenance=_provenance(request, parts),
    )


def _style(number: int) -> str:
    return f"model-{number % len(COLOURS)}"


def _part(request: ComparisonRequest, part: ComparedPart) -> dict[str, Any]:
    first = part.comparisons[0].results[0]
    return {
        "name": part.data.name,
        "images": first.images,
        "instances": first.instances,
        "tables": [
            {
                "name": prompt_name(comparison.results[0].protocol),
                "line": comparison_line(comparison),
                "rows": list(_rows(comparison)),
                "sizes": list(_sizes(comparison)),
            }
            for comparison in part.comparisons
        ],
        "charts": [chart for comparison in part.comparisons for chart in _charts(comparison)],
        "cases": list(_cases(request, part)) if request.cases else [],
    }


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for number, name in enumerate(comparison.rounds):
        cells = []
        for estimates, differences in zip(comparison.estimates, comparison.differences, strict=True):
            cell = _cell(estimates[number])
            if differences:
                cell["difference"] = _difference(differences[number])
            cells.append(cell)
        yield {"name": name if number else prompt_name(comparison.results[0].protocol), "cells": cells}


def _cell(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval
    return {"value": f"{estimate.value:.3f}", "interval": f"{low:.3f}\N{EN DASH}{high:.3f}", "difference": None}


def _difference(estimate: Estimate) -> dict[str, str]:
    value, low, high = (f"{number:+.3f}".replace("-", _MINUS) for number in (estimate.value, *estimate.interval))
    return {"value": value, "interval": f"{low} to {high}", "sign": {1: "up", -1: "down", 0: ""}[estimate.sign]}


def _sizes(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield the mean IoU after the first prompt by size of objects."""
    by_model = [by_size(result.iou, result.areas) for result in comparison.results]
    for name, first in by_model[0].items():
        values = [buckets[name].miou for buckets in by_model]
        yield {
            "name": name,
            "instances": first.instances,
            "cells": [f"{value[0]:.3f}" if value else "" for value in values],
        }


def _charts(comparison: Comparison) -> Iterator[dict[str, Any]]:
    name = prompt_name(comparison.results[0].protocol)
    if len(comparison.rounds) > 1:
        ticks = (name, *comparison.rounds[1:])
        title = f"mIoU over clicks, from {name}"
        yield _chart(comparison, title, line_chart(title, list(_over_clicks(comparison)), "prompts", x_ticks=ticks))
    title = f"IoU of the masks, {name}"
    picture = line_chart(title, list(_histograms(comparison)), "IoU", from_zero=True)
    yield _chart(comparison, title, picture)


def _chart(comparison: Comparison, title: str, picture: str) -> dict[str, Any]:
    return {"title": title, "picture": picture, "line": comparison_line(comparison)}


def _over_clicks(comparison: Comparison) -> Iterator[Line]:
    count = len(comparison.models)
    for number, (name, estimates) in enumerate(zip(comparison.models, comparison.estimates, strict=True)):
        shift = (number - (count - 1) / 2) * _SHIFT
        points = [(clicks + shift, estimate.value) for clicks, estimate in enumerate(estimates)]
        yield Line(name, _style(number), points, whiskers=[estimate.interval for estimate in estimates])


def _histograms(comparison: Comparison) -> Iterator[Line]:
    """Yield outlines of the share of masks in each bin, in per cent, after the first prompt."""
    for number, name in enumerate(comparison.models):
        counts = comparison.histogram(number, 0)
        shares = 100 * counts / counts.sum()
        edges = np.linspace(0, 1, BINS + 1)
        points = [(float(edge), float(shares[place])) for place in range(BINS) for edge in edges[place : place + 2]]
        yield Line(name, _style(number), points, steps=True)


def _cases(request: ComparisonRequest, part: ComparedPart) -> Iterator[dict[str, Any]]:
    """Yield the cases by protocol; the pictures are decoded here, one at a time."""
    for comparison, cases, masks in zip(part.comparisons, part.cases, part.masks, strict=True):
        protocol = comparison.results[0].protocol
        images = EvaluationDataset(part.dataset, [protocol], part.data.max_instances)
        answers = [[of_model.mask(case) for of_model in masks] for case in cases]
        yield {
            "name": prompt_name(protocol),
            "line": comparison_line(comparison),
            "figures": [
                _figure(part, images, protocol, comparison.models, case, found)
                for case, found in zip(cases, answers, strict=True)
            ],
        }


def _figure(
    part: ComparedPart,
    images: EvaluationDataset,
    protocol: EvaluationProtocol,
    models: Sequence[str],
    case: Case,
    answers: Sequence[Any],
) -> dict[str, Any]:
    index = part.dataset.ids.index(case.image_id)
    image = read_image(images, part.dataset, case.image_id)
    height, width = image.original_size
    truth = np.zeros((height, width), dtype=bool)
    mask = image.truths[protocol.ground_truth].masks[case.number]
    truth[mask.window.top : mask.window.bottom, mask.window.left : mask.window.right] = mask.crop()
    picture = np.array(part.dataset.read_picture(index))
    prompt = FirstPrompt.of(image, protocol, case.number)
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(models))]
    drawn = draw_case(picture, truth, prompt, answers, colours)
    panels = [
        {"name": name, "picture": address, "style": "plain", "iou": ""}
        for name, address in (("photograph", drawn.photograph), ("prompt", drawn.prompt), ("ground truth", drawn.truth))
    ]
    panels += [
        {"name": name, "picture": address, "style": _style(number), "iou": f"{case.iou[number]:.2f}"}
        for number, (name, address) in enumerate(zip(models, drawn.answers, strict=True))
    ]
    return {"kind": case.kind, "name": f"{case.image_id}, annotation {case.name}", "panels": panels}


def _provenance(request: ComparisonRequest, parts: Sequence[ComparedPart]) -> list[tuple[str, str]]:
    computed = {model.name: f"{model.precision(request.amp)} on {model.device.type}" for model in request.models}
    same = set(computed.values())
    return [
        ("date", date.today().isoformat()),
        ("versions", f"edge_sam {edge_sam.__version__}, PyTorch {torch.__version__}"),
        ("computed", "; ".join(same if len(same) == 1 else (f"{name}: {how}" for name, how in computed.items()))),
        *((f"{model.name}, SHA-256", f"{model.sha256} {model.source}") for model in request.models),
        *((f"{part.data.name}, data SHA-256", part.comparisons[0].results[0].data_sha256) for part in parts),
    ]
