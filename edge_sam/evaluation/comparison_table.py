"""A comparison on the terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from edge_sam.evaluation.bootstrap import SHARE
from edge_sam.evaluation.compared_parts import ComparedPart
from edge_sam.evaluation.comparison import Comparison, Estimate
from edge_sam.evaluation.comparison_words import comparison_line, left_out, not_chosen


def render_part(part: ComparedPart) -> RenderableType:
    """Return the tables of a data set, and below them what of it no number is of."""
    return Group(*map(render_table, part.comparisons), *map(escape, not_chosen(part)))


def render_table(comparison: Comparison) -> RenderableType:
    """Return mean IoU by round and model, with intervals and differences to the first; its line; what is left out."""
    table = Table(title=f"{comparison.dataset}: mean IoU, {SHARE:.0%} interval by image")
    table.add_column("prompt")
    for name in comparison.models:
        table.add_column(escape(name), justify="right")
    for number, name in enumerate(comparison.rounds):
        cells = [_value(estimates[number]) for estimates in comparison.estimates]
        differences = [_difference(of_model[number]) if of_model else "" for of_model in comparison.differences]
        table.add_row(
            name, *(f"{cell}\n{difference}".rstrip() for cell, difference in zip(cells, differences, strict=True))
        )
    return Group(table, *map(escape, [comparison_line(comparison), *left_out(comparison)]))


def _value(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ({estimate.interval.low:.4f} to {estimate.interval.high:.4f})"


def _difference(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} ({estimate.interval.low:+.4f} to {estimate.interval.high:+.4f})"
