"""A comparison in words: the line beside every number, the names of prompts, what came out, what was left out."""

from collections.abc import Iterator, Sequence

import edge_sam
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.evaluation.compared_parts import ComparedPart
from edge_sam.evaluation.comparison import Comparison, Estimate
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.report import first_names

_HASH_DIGITS = 12
_PROMPTS = {
    "mask-center": "centre",
    "point": "annotated point",
    "mask-rand": "random point",
    "box-center": "box centre",
}


def comparison_line(comparison: Comparison) -> str:
    """Return the line that stands beside every number: how, of which models, on which data, how many."""
    first = comparison.results[0]
    named = zip(comparison.models, comparison.checkpoints, comparison.networks, strict=True)
    checkpoints = ", ".join(f"{name} {sha256[:_HASH_DIGITS]} ({network})" for name, sha256, network in named)
    return (
        f"{first.protocol.describe()}; checkpoints {checkpoints}; {comparison.dataset}, "
        f"data {first.data_sha256[:_HASH_DIGITS]}: {comparison.chosen}, {first.images} images, "
        f"{first.instances} instances; edge_sam {edge_sam.__version__}"
    )


def prompt_name(protocol: EvaluationProtocol) -> str:
    """Return what a protocol begins with, and how a mask was chosen if there were several."""
    first, comma, mask = protocol.name.partition(", ")
    return _PROMPTS.get(first, first) + comma + mask


def finding(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Say how each model compares with the first, after the first prompts and after all clicks.

    A difference counts as one where its interval leaves out zero: where other images would hardly change its sign.
    """
    first, *others = comparisons[0].models
    for number, name in enumerate(others, start=1):
        said = "; ".join(_difference_in_words(comparison, number, comparisons) for comparison in comparisons)
        yield f"{name} against {first}: {said}."


def _difference_in_words(comparison: Comparison, number: int, among: Sequence[Comparison]) -> str:
    where = f" on {comparison.dataset}" if len({one.dataset for one in among}) > 1 else ""
    differences = comparison.differences[number]
    words = f"by {prompt_name(comparison.results[0].protocol)}{where} {_in_words(differences[0])}"
    clicks = len(differences) - 1
    return f"{words}, after {clicks} click{'s' if clicks > 1 else ''} {_in_words(differences[-1])}" if clicks else words


def _in_words(difference: Estimate) -> str:
    kind = {1: "better", -1: "worse", 0: ""}[difference.sign]
    return f"{abs(difference.value):.3f} {kind}" if kind else "no clear difference"


def not_chosen(part: ComparedPart) -> Iterator[str]:
    """Say what of a data set no number is of, whichever protocol it is measured by."""
    name, dataset = part.data.name, part.dataset
    if dataset.unannotated:
        yield f"{name}: {dataset.unannotated} of the chosen images are left out: nothing in them is annotated"
    if isinstance(dataset, CocoDataset) and dataset.crowds:
        yield f"{name}: {dataset.crowds} crowds are left out: they are no single objects"


def left_out(comparison: Comparison) -> Iterator[str]:
    """Say what could not be measured, and which answers were none."""
    where = f"{comparison.dataset}, {prompt_name(comparison.results[0].protocol)}"
    for name, result in zip(comparison.models, comparison.results, strict=True):
        if result.failures:
            names = [f"{image_id} annotation {called} ({when})" for image_id, called, when in result.failures]
            yield f"{where}: {len(names)} answers of {name} are NaN or infinity, IoU 0: {first_names(names)}"
    first = comparison.results[0]
    if first.empty:
        names = [f"{image_id} annotation {called}" for image_id, called in first.empty]
        yield f"{where}: {len(names)} masks without a pixel are left out: {first_names(names)}"
    if first.refusals:
        names = [f"{refusal.image_id} ({refusal.reason})" for refusal in first.refusals]
        yield f"{where}: {len(names)} images or annotations could not be read: {first_names(names)}"
