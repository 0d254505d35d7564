"""The report: one page with everything in it, which opens offline."""

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import timm
import torch

import edge_sam
from edge_sam.atomic_writing import write_atomically
from edge_sam.demo.chain import PHASE_2, typed
from edge_sam.demo.explanations import CAVEATS, STEPS
from edge_sam.demo.gallery import make_gallery
from edge_sam.demo.learning_curves import make_charts
from edge_sam.demo.outcome import MODELS, STYLES, Outcome
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.pages.charts import dots
from edge_sam.pages.rendering import render_page

_LINE = 100
_FLAT_KEYS = ("SEED", "PRINT_FREQ")
_PROMPTS = {"mask-center": "centre", "mask-center, oracle of 3": "centre, best of 3", "point": "annotated point"}


def write_report(outcome: Outcome, path: Path) -> None:
    """Write the page, whole or not at all."""
    gallery = make_gallery(outcome)
    page = render_page(
        "edge_sam.demo",
        "report",
        total_time=_spoken(sum(entry.seconds for entry in outcome.chain.journal.walked())),
        finding=_finding(outcome),
        quick=outcome.plan.name == "quick",
        instances=outcome.instances,
        images=outcome.images,
        unseen="neither teacher nor student learnt from" if outcome.draws else "no student learnt from",
        rows=list(_rows(outcome)),
        costs=_costs(outcome, gallery.parameters, gallery.milliseconds),
        examples=gallery.examples,
        curve_images=outcome.plan.curve_images,
        charts=make_charts(outcome),
        steps=list(_steps(outcome, gallery.training_pictures)),
        use=_use(outcome),
        caveats=CAVEATS,
        provenance=_provenance(outcome),
    )
    write_atomically(path, page)


def _prompt(name: str) -> str:
    """Return the evaluation's name of a prompt in this page's words."""
    first, _, click = name.partition(" +")
    return _PROMPTS.get(first, first) + (f" +{click}" if click else "")


def _finding(outcome: Outcome) -> str:
    """Say what came out, whichever way it came out."""
    found = dict(outcome.rows())
    parts = []
    for name, words in (
        ("mask-center", "on one point in the middle of an object"),
        ("mask-center +2", "after two more clicks"),
        ("box", "on a box"),
    ):
        difference = round(found[name][2], 3) - round(found[name][1], 3)
        verb = "gains" if difference > 0 else "loses"
        parts.append(f"{verb} {abs(difference):.3f} {words}" if difference else f"gains nothing {words}")
    return f"Against phase 1, on images that no student saw, phase 2 {parts[0]}, {parts[1]}, and {parts[2]} (mIoU)."


def _rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Yield the table's lines; the annotated point is left out where it is the centre anyway."""
    rows = dict(outcome.rows())
    if rows["point"] == rows["mask-center"]:
        del rows["point"]
    everything = [value for values in rows.values() for value in values]
    low, high = min(everything), max(everything)
    for name, values in rows.items():
        difference = round(values[2], 3) - round(values[1], 3)
        yield {
            "prompt": _prompt(name),
            "first": "+" not in name,
            "dots": dots([(STYLES[model], value) for model, value in zip(MODELS, values, strict=True)], low, high),
            "cells": [f"{value:.3f}" for value in values],
            "gain": f"{difference:+.3f}".replace("-", "\N{MINUS SIGN}"),
            "sign": "up" if difference > 0 else "down" if difference < 0 else "",
        }


def _costs(
    outcome: Outcome, parameters: dict[str, tuple[int, int]], milliseconds: dict[str, float]
) -> list[dict[str, Any]]:
    phases = ("phase 1", "phase 2")
    seen = [f"{outcome.images_seen(phase):,}" for phase in phases]
    times = [_clock(outcome.seconds(phase)) for phase in phases]
    return [
        {"name": "images learnt from", "cells": ["", seen[0], f"+ {seen[1]}"]},
        {"name": "training time", "cells": ["", times[0], f"+ {times[1]}"]},
        {"name": "parameters, encoder", "cells": [f"{parameters[model][0] / 1e6:.1f} M" for model in MODELS]},
        {"name": "parameters, whole", "cells": [f"{parameters[model][1] / 1e6:.1f} M" for model in MODELS]},
        {"name": "to embed an image", "cells": [f"{milliseconds[model]:.0f} ms" for model in MODELS]},
    ]


def _steps(outcome: Outcome, training_pictures: list[str]) -> Iterator[dict[str, Any]]:
    shown = "synth train" if outcome.draws else "embed"
    for entry in outcome.chain.journal.walked():
        title, text = STEPS[entry.step]
        pictures = training_pictures if entry.step == shown else []
        command, time = _folded(entry.command), _clock(entry.seconds)
        yield {"title": title, "text": text, "time": time, "command": command, "pictures": pictures}


def _folded(command: str) -> str:
    """Break a command before options, and between settings after ``--opts``, as one would type it."""
    units: list[str] = []
    after_opts = False
    for word in map(shlex.quote, shlex.split(command)):
        starts = word.startswith("--") or (after_opts and "." in word and word.isupper()) or word in _FLAT_KEYS
        after_opts = after_opts or word == "--opts"
        if units and (not starts or units[-1] == "--opts"):
            units[-1] += f" {word}"
        else:
            units.append(word)
    lines = [units[0]]
    for unit in units[1:]:
        if len(lines[-1]) + 1 + len(unit) <= _LINE:
            lines[-1] += f" {unit}"
        else:
            lines.append(f"    {unit}")
    return " \\\n".join(lines)


def _use(outcome: Outcome) -> str:
    chain, student = outcome.chain, outcome.models["phase 2"]
    return f"""import numpy as np
from PIL import Image

from edge_sam import SamPredictor
from edge_sam.modeling.registry import build_sam

sam = build_sam(
    "rep_vit_m1", {chain.image_size}, upsample_mode="{chain.upsample_mode}",
    checkpoint="{typed(student)}",
)
predictor = SamPredictor(sam)
predictor.set_image(np.array(Image.open("photograph.jpg").convert("RGB")))
masks, scores, _ = predictor.predict(point_coords=np.array([[250, 187]]), point_labels=np.array([1]))"""


def _provenance(outcome: Outcome) -> list[tuple[str, str]]:
    chain, plan = outcome.chain, outcome.plan
    teacher = outcome.evaluations["teacher"]
    drawn = "drawn by edgesam synth" if outcome.draws else "given"
    return [
        ("date", date.today().isoformat()),
        ("machine", f"{_processor()}, {os.cpu_count()} cores, {teacher['device']}, {teacher['precision']}"),
        ("versions", f"edge_sam {edge_sam.__version__}, PyTorch {torch.__version__}, timm {timm.__version__}, Python "
                     f"{platform.python_version()}"),
        ("seed", f"{chain.seed} of weights, order and prompts; 0 of the evaluation's clicks"),
        ("images", f"{typed(chain.data)}, {drawn}"),
        ("sizes", ", ".join(f"{key} {value}" for key, value in plan.sizes().items())),
        ("teacher's network", f"{chain.teacher_type}, {chain.image_size} px, neck {chain.upsample_mode}"),
        ("student's network", f"rep_vit_m1, {chain.image_size} px, neck {chain.upsample_mode}, {PHASE_2.stem}"),
        *((f"{name}'s SHA-256", f"{file_sha256(path)} {typed(path)}") for name, path in outcome.models.items()),
        *((f"protocol: {_prompt(one['name'])}", one["line"]) for one in (r["protocol"] for r in teacher["results"])),
        ("left out", f"{len(teacher['refusals'])} images or masks that could not be read"),
    ]  # fmt: skip


def _processor() -> str:
    """Return the processor's name, where the system tells."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} seconds"
    return f"{round(seconds / 60)} minutes"
