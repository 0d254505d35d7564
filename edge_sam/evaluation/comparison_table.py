"""A comparison on the terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from edge_sam.evaluation.bootstrap import SHARE
from edge_sam.evaluation.comparison import Comparison, Estimate
from edge_sam.evaluation.comparison_words import comparison_line


def render_table(comparison: Comparison) -> RenderableType:
    """Return the mean IoU by round and model with intervals, below it the difference to the first; and the line."""
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
    return Group(table, escape(comparison_line(comparison)))


def _value(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ({estimate.interval.low:.4f} to {estimate.interval.high:.4f})"


def _difference(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} ({estimate.interval.low:+.4f} to {estimate.interval.high:+.4f})"
