"""The tour: pictures and a small teacher in, a page about teacher and students out, by the guide's own commands."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge_sam.atomic_writing import write_atomically
from edge_sam.demo.chain import ROOT, Chain, expect_teacher, typed
from edge_sam.demo.given_data import check_data, expect_unseen
from edge_sam.demo.outcome import MODELS, Outcome
from edge_sam.demo.plan import Plan
from edge_sam.demo.report import write_report
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256

OUTPUTS = ("data", "teacher_embed", "output", "evaluation", "steps.jsonl", "report.html")
"""What a tour writes beside ``tour.json``; ``data`` only where it draws."""

LAB_TEACHER = ROOT / "lab_teacher" / "lab_teacher_256.safetensors"

TRAIN_SEED, VAL_SEED = 71, 72
"""Of the pictures that are drawn where none are given: other ones than the lab teacher learnt from."""


_SAVE_STEPS = 20
"""So many steps, at most, are lost where a phase is killed."""


_SKIPPED = 1.0
"""Seconds under which a step cannot have run: it was done before."""


_BELIEVED = 30.0
"""Seconds' worth of belief in the expected pace, so that one slow start does not make hours of minutes."""


def run_tour(data: Path | None, teacher: Path, output: Path, plan: Plan) -> Path:
    """Run the whole chain at the teacher's size, print the table and write the report.

    Args:
        data: folder in SA-1B layout with a train and a val split; None draws pictures into ``output``.
        teacher: a whole model whose file tells its network.
        output: where everything goes; a second call goes on from what is there.
        plan: how much is done.

    Returns:
        The report.

    Raises:
        EdgeSamError: an input that is missing or does not fit, an ``output`` of another tour, or a step that failed
            (its message is printed before).
    """
    if not (ROOT / "training").is_dir():
        raise EdgeSamError(f"{ROOT} holds no training/ folder: the demo runs from a clone of the repository")
    expect_teacher(teacher)  # the first thing that can be wrong
    given = [f"drawn with seeds {TRAIN_SEED} and {VAL_SEED}"]
    if data is not None:
        train = check_data(data, "train", plan.train_images, plan.batch_size)
        val = check_data(data, "val", plan.val_images, 1)
        expect_unseen(data, train, val)
        plan = plan.for_images(len(train.pictures))
        given = [str(typed(data.resolve())), train.sha256, val.sha256]
    identity = {"teacher": file_sha256(teacher), "sizes": plan.sizes(), "data": given}
    _claim(output, identity, OUTPUTS if data is None else OUTPUTS[1:])
    chain = Chain.for_teacher(
        data or output / "data", teacher, output,
        train_images=plan.train_images, announce=_Announcer(plan, draws=data is None),
    )  # fmt: skip
    outcome = _walk(chain, plan, draws=data is None)
    _print_table(outcome)
    chain.announce("report")
    write_report(outcome, output / "report.html")
    print(f"written to {output / 'report.html'}: open it in a browser", flush=True)
    return output / "report.html"


def _walk(chain: Chain, plan: Plan, draws: bool) -> Outcome:
    """Run all steps but the report."""
    if draws:
        chain.synthesize("train", plan.train_images, TRAIN_SEED)
        chain.synthesize("val", plan.val_images, VAL_SEED)
    chain.embed()
    shared = (
        "VALIDATION.NUM_IMAGES", str(plan.curve_images), "VALIDATION.NUM_INSTANCES", str(plan.instances),
        "PRINT_FREQ", "5", "TRAIN.SAVE_STEPS", str(_SAVE_STEPS), "TRAIN.LR_SCALE_BY_BATCH", "False",
    )  # fmt: skip
    phase_1 = chain.phase_1(
        "demo", plan.batch_sizes["phase 1"], plan.phase_1_epochs, *shared,
        "TRAIN.WARMUP_EPOCHS", "1", "TRAIN.BASE_LR", "1.5e-3",
    )  # fmt: skip
    student_1 = chain.convert(phase_1)
    phase_2 = chain.phase_2(
        "demo", plan.batch_sizes["phase 2"], plan.phase_2_epochs, phase_1, *shared,
        "TRAIN.BASE_LR", "1e-4", "TRAIN.MIN_LR", "1e-5", "DISTILL.MAX_ALLOWED_PROMPTS", str(plan.prompts),
    )  # fmt: skip
    student_2 = chain.convert(phase_2)
    models = dict(zip(MODELS, (chain.teacher, student_1, student_2), strict=True))
    evaluations = {name: chain.evaluate(path, plan.val_images, plan.instances) for name, path in models.items()}
    return Outcome(chain, plan, draws, models, evaluations, {"phase 1": phase_1.parent, "phase 2": phase_2.parent})


def _claim(output: Path, identity: dict[str, Any], outputs: Sequence[str]) -> None:
    """Insist that ``output`` is of this tour: results of another one must not be taken for its own.

    Nor may a file of something else be written over: where no tour was before, there is nothing of the names in
    ``outputs``.
    """
    note = output / "tour.json"
    try:
        if note.is_file():
            found = json.loads(note.read_text())
            if not isinstance(found, dict):
                raise ValueError(f"{note.name} is not a tour's")
            changed = [key for key in identity if found.get(key) != identity[key]]
            if changed:
                raise EdgeSamError(
                    f"{output}: holds a tour with other {' and '.join(changed)}: choose another --output, or delete it"
                )
            return
        foreign = [name for name in outputs if (output / name).exists()]
        if foreign:
            raise EdgeSamError(
                f"{output}: holds {' and '.join(foreign)}, not of a tour, which would be written over: choose another "
                "--output"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_atomically(note, json.dumps(identity, indent=2) + "\n")
    except (OSError, ValueError) as error:
        raise EdgeSamError(f"{output}: cannot be used ({error}); --output names another place") from error


@dataclass
class _Announcer:
    """Says which step begins and about how long all that is left takes, at the pace of what is done."""

    plan: Plan
    draws: bool

    def __post_init__(self) -> None:
        self._left = [step for step in self.plan.seconds if self.draws or not step.startswith("synth")]
        self._steps = len(self._left)
        self._begun: tuple[str, float] | None = None
        self._taken: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        """Print a headline."""
        now = time.monotonic()
        if self._begun is not None and now - self._begun[1] > _SKIPPED:
            self._taken[self._begun[0]] = now - self._begun[1]
        self._begun = (step, now)
        expected = sum(self.plan.seconds[name] for name in self._taken)
        pace = (_BELIEVED + sum(self._taken.values())) / (_BELIEVED + expected)
        left = timedelta(seconds=round(pace * sum(self.plan.seconds[name] for name in self._left)))
        number = self._steps - len(self._left) + 1
        print(f"\n[{number}/{self._steps}] {step}; about {left} left in all", flush=True)
        self._left.remove(step)


def _print_table(outcome: Outcome) -> None:
    """Print a column a model and a row a prompt."""
    table = Table(title=f"mIoU on {outcome.instances} masks of {outcome.images} images not learnt from")
    table.add_column("prompt")
    for model in MODELS:
        table.add_column(model, justify="right")
    for prompt, values in outcome.rows():
        table.add_row(prompt, *(f"{value:.3f}" for value in values))
    Console().print(table)
