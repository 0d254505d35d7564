"""The tour: photographs and a small teacher in, a table of teacher and students out, by the guide's own commands."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge_sam.demo.chain import ROOT, Chain
from edge_sam.errors import EdgeSamError

PHOTOGRAPHS = 60


def run_tour(data: Path, teacher: Path, output: Path, photographs: int = PHOTOGRAPHS) -> None:
    """Run the whole chain at 256 px and print the mIoU of the teacher and of both students.

    Args:
        data: folder in SA-1B layout with a train and a val split.
        teacher: EdgeSAM-format checkpoint made for 256 px, with a bilinear neck.
        output: where embeddings, run folders and results go; a second call goes on from what is there.
        photographs: the first so many of the train split are learnt from; a third as many of val are measured.

    Raises:
        EdgeSamError: a missing input, or a step that failed (its message is printed before).
    """
    for path, what in ((data / "images" / "train", "folder of photographs"), (teacher, "teacher checkpoint")):
        if not path.exists():
            raise EdgeSamError(f"{path}: no such {what}; edgesam demo --data DIR --teacher FILE names your own")
    if not (ROOT / "training").is_dir():
        raise EdgeSamError(f"{ROOT} holds no training/ folder: the demo runs from a clone of the repository")
    samples = ("DATA.NUM_SAMPLES", str(photographs), "VALIDATION.NUM_IMAGES", str(photographs // 3))
    chain = Chain(data.resolve(), teacher.resolve(), output.resolve(), options=samples)
    chain.embed()
    phase_1 = chain.phase_1(
        "demo", 4, "TRAIN.EPOCHS", "8", "TRAIN.WARMUP_EPOCHS", "1", "TRAIN.LR_SCALE_BY_BATCH", "False",
        "TRAIN.BASE_LR", "1.5e-3",
    )  # fmt: skip
    student_1 = chain.convert(phase_1 / "ckpt_epoch_7.pth")
    phase_2 = chain.phase_2(
        "demo", 4, phase_1 / "ckpt_epoch_7.pth", "TRAIN.EPOCHS", "3", "TRAIN.LR_SCALE_BY_BATCH", "False",
        "TRAIN.BASE_LR", "1e-4", "TRAIN.MIN_LR", "1e-5",
    )  # fmt: skip
    models = {"teacher": chain.teacher, "phase 1": student_1, "phase 2": phase_2 / "ckpt_epoch_2.pth"}
    reports = {name: chain.evaluate(path, photographs // 3, 8) for name, path in models.items()}
    _print_table(reports, photographs)


def _print_table(reports: dict[str, dict[str, Any]], photographs: int) -> None:
    """Print a column a model and a row a prompt."""
    table = Table(
        title=f"mIoU after {photographs} photographs at 256 px", caption="a few minutes' run: it shows the way"
    )
    table.add_column("prompt")
    for model in reports:
        table.add_column(model, justify="right")
    for results in zip(*(report["results"] for report in reports.values()), strict=True):
        first, *clicks = results[0]["rounds"]
        for number, prompt in enumerate([results[0]["protocol"]["name"], *(f"{first} {click}" for click in clicks)]):
            table.add_row(prompt, *(f"{result['miou'][number]:.3f}" for result in results))
    Console().print(table)
