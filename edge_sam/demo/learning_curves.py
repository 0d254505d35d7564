"""The charts of the report: what the two phases recorded while they ran."""

from dataclasses import dataclass

from markupsafe import Markup

from edge_sam.demo.outcome import Outcome
from edge_sam.pages.charts import Line, Point, line_chart

_SEEN = "images learnt from"


@dataclass(frozen=True)
class Chart:
    """A chart with what stands around it.

    Attributes:
        title: above.
        picture: SVG.
        lines: for the legend.
        text: below.
    """

    title: str
    picture: Markup
    lines: list[Line]
    text: str


def make_charts(outcome: Outcome) -> list[Chart]:
    """Return mIoU over both phases, the loss of phase 1, the losses of phase 2."""
    return [_miou(outcome), _phase_1(outcome), _phase_2(outcome)]


def _miou(outcome: Outcome) -> Chart:
    start = outcome.images_seen("phase 1")
    lines: list[Line] = []
    for name, dashed in (("box", True), ("mask-center", False)):
        for phase, offset in (("phase 1", 0), ("phase 2", start)):
            points = _series(outcome, phase, f"miou/{name}", offset)
            if phase == "phase 2":  # the line goes on from where the other ends
                points = [lines[-1].points[-1], *points]
            words = "box" if name == "box" else "centre"
            lines.append(Line(f"{phase}, {words}", phase.replace(" ", "-"), points, dashed))
    text = """Phase 2 goes on from phase 1, with a far smaller learning rate and another aim: the masks that come of
    an embedding, from boxes as often as from points."""
    return Chart("mIoU of the student", line_chart("mIoU of the student over both phases", lines, _SEEN), lines, text)


def _phase_1(outcome: Outcome) -> Chart:
    lines = [Line("distance of the embeddings", "phase-1", _series(outcome, "phase 1", "train/pixel_wise"))]
    text = "Squared difference of the student's and the teacher's embedding, a mean over the unpadded area."
    picture = line_chart("loss of phase 1", lines, _SEEN, logarithmic=True)
    return Chart("Loss of phase 1 (logarithmic)", picture, lines, text)


def _phase_2(outcome: Outcome) -> Chart:
    names = (("bce", "cross entropy"), ("dice", "dice"))
    lines = [Line(words, name, _series(outcome, "phase 2", f"train/{name}")) for name, words in names]
    text = """How far the student's masks are from the teacher's: a mean over the first prompt and the one after the
    click. It goes up and down with the images, and with whether a step began with boxes or with points,
    which are harder."""
    return Chart("Losses of phase 2", line_chart("losses of phase 2", lines, _SEEN), lines, text)


def _series(outcome: Outcome, phase: str, key: str, offset: int = 0) -> list[Point]:
    records = [record for record in outcome.metrics(phase) if key in record]
    return [(offset + outcome.images_at(phase, record), record[key]) for record in records]
