"""A comparison in words: the line beside every number, the names of prompts, what came out."""

from collections.abc import Iterator, Sequence

import edge_sam
from edge_sam.evaluation.comparison import Comparison
from edge_sam.evaluation.protocols import EvaluationProtocol

_HASH_DIGITS = 12
_PROMPTS = {
    "mask-center": "centre",
    "point": "annotated point",
    "mask-rand": "random point",
    "box-center": "box centre",
}


def comparison_line(comparison: Comparison) -> str:
    """Return the line that stands beside every number: how, on which data, how many."""
    first = comparison.results[0]
    return (
        f"{first.protocol.describe()}; {comparison.dataset}, data {first.data_sha256[:_HASH_DIGITS]}: "
        f"{comparison.chosen}, {first.images} images, {first.instances} instances; edge_sam {edge_sam.__version__}"
    )


def prompt_name(protocol: EvaluationProtocol) -> str:
    """Return what a protocol begins with, and how a mask was chosen if there were several."""
    first, comma, mask = protocol.name.partition(", ")
    return _PROMPTS.get(first, first) + comma + mask


def finding(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Say how each model compares with the first after the first prompts, where other images would hardly change it."""
    first, *others = comparisons[0].models
    for number, name in enumerate(others, start=1):
        said = []
        for comparison in comparisons:
            difference = comparison.differences[number][0]
            if difference.sign:
                verb = "better" if difference.sign > 0 else "worse"
                where = f"{prompt_name(comparison.results[0].protocol)} on {comparison.dataset}"
                said.append(f"{abs(difference.value):.3f} {verb} by {where}")
        if not said:
            yield f"{name} and {first} cannot be told apart by these images."
        else:
            rest = "" if len(said) == len(comparisons) else "; otherwise no difference shows"
            yield f"{name} is {', '.join(said)}, compared with {first}{rest}."
