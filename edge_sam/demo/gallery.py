"""The pictures of the report: examples as every model answers them, and some of what was learnt from."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.sources import Source, open_source
from edge_sam.demo.annotated_pictures import read_annotated_picture
from edge_sam.demo.examples import Answer, Example, answer, choose_examples
from edge_sam.demo.outcome import MODELS, STYLES, Outcome
from edge_sam.demo.pictures import photograph, with_all_masks, with_answer, with_prompt, with_truth
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.registry import build_sam
from edge_sam.pages.pictures import Colour, shown_size
from edge_sam.progress import show_progress

TRAINING_PICTURES = 6

_COLOURS: dict[str, Colour] = {"teacher": (190, 199, 209), "phase 1": (255, 149, 43), "phase 2": (72, 160, 255)}


@dataclass(frozen=True)
class Gallery:
    """What pictures show, and what was found on the way.

    Attributes:
        examples: one line of panels each, as the template takes them.
        training_pictures: with all their masks, as data.
        parameters: of the image encoder and of the whole, by model.
        milliseconds: to embed a picture on this machine, the median, by model.
    """

    examples: list[dict[str, Any]]
    training_pictures: list[str]
    parameters: dict[str, tuple[int, int]]
    milliseconds: dict[str, float]


def make_gallery(outcome: Outcome) -> Gallery:
    """Ask all models for all examples, and draw."""
    plan, data = outcome.plan, outcome.chain.data
    source = open_source(data, "val")
    examples = choose_examples(source, _first(source, plan.val_images), plan.examples, plan.instances)
    answers: dict[str, list[Answer]] = {}
    parameters, milliseconds = {}, {}
    with show_progress("pictures", len(MODELS) * len(examples)) as advance:
        for model in MODELS:
            predictor = _predictor(outcome, model)
            answers[model], seconds = [], []
            for example in examples:
                started = time.perf_counter()
                predictor.set_image(example.picture)
                seconds.append(time.perf_counter() - started)
                answers[model].append(answer(predictor, example))
                advance(1)
            milliseconds[model] = 1000 * statistics.median(seconds)
            parts = (predictor.model.image_encoder, predictor.model)
            encoder, whole = (sum(one.numel() for one in part.parameters()) for part in parts)
            parameters[model] = (encoder, whole)
    lines = [
        _line(example, {model: answers[model][index] for model in MODELS}) for index, example in enumerate(examples)
    ]
    train = open_source(data, "train")
    shown = training_pictures(train, _first(train, plan.train_images))
    return Gallery(lines, shown, parameters, milliseconds)


def _first(source: Source, count: int) -> list[str]:
    """Return the annotated ones of the first pictures by name, as evaluation and training take them."""
    first = set(source.image_ids[:count])
    return [name for name in source.ids if name in first]


def _predictor(outcome: Outcome, model: str) -> SamPredictor:
    chain = outcome.chain
    network, fuse = (chain.teacher_type, chain.fuse) if model == "teacher" else ("rep_vit_m1", True)
    return SamPredictor(
        build_sam(network, chain.image_size, fuse, chain.upsample_mode, checkpoint=outcome.models[model])  # type: ignore[arg-type]
    )


def _line(example: Example, answers: dict[str, Answer]) -> dict[str, Any]:
    """Return the panels of one example."""
    panels = [
        _panel(example, "image", "plain", photograph(example)),
        _panel(example, "prompt", "plain", with_prompt(example)),
        _panel(example, "ground truth", "plain", with_truth(example)),
    ]
    for model, found in answers.items():
        drawn = with_answer(example, found, _COLOURS[model])
        panels.append(_panel(example, model, STYLES[model], drawn, f"{found.iou:.2f}"))
    return {"kind": example.kind, "name": f"{example.image_id}, mask {example.number}", "panels": panels}


def _panel(example: Example, name: str, style: str, picture: str, iou: str = "") -> dict[str, Any]:
    width, height = shown_size(example.picture)
    alt = f"{name} of {example.image_id}" + (f", IoU {iou}" if iou else "")
    return {"name": name, "style": style, "picture": picture, "iou": iou, "alt": alt, "width": width, "height": height}


def training_pictures(source: Source, names: list[str]) -> list[str]:
    """Return some of the named pictures with all their masks drawn on them, as data URIs, evenly spaced."""
    positions = np.unique(np.linspace(0, len(names) - 1, TRAINING_PICTURES).round().astype(int))
    return list(_with_masks(source, [names[position] for position in positions]))


def _with_masks(source: Source, names: list[str]) -> Iterator[str]:
    for name in names:
        try:
            picture, found = read_annotated_picture(source, name)
        except BrokenSample:
            continue  # training has passed it over, too, and named it
        yield with_all_masks(picture, [annotation.decode() > 0 for annotation in found])
