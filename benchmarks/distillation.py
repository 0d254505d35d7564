"""What each phase buys: teacher and students on real photographs, several seeds, one Markdown table (docs/results.md).

python -m benchmarks.distillation --data DIR --teacher FILE --output DIR --seeds 0 1 2
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_sam.arguments import run_command
from edge_sam.demo.chain import Chain

IMAGES, INSTANCES = 60, 8
EPOCHS = 4
PHASE_1 = ("TRAIN.WARMUP_EPOCHS", "1", "VALIDATION.NUM_IMAGES", "0")
PHASE_2 = (
    "TRAIN.LR_SCALE_BY_BATCH", "False", "TRAIN.BASE_LR", "1e-4", "TRAIN.MIN_LR", "1e-5",
    "VALIDATION.NUM_IMAGES", "0",
)  # fmt: skip

Report = dict[str, Any]


def run_seed(chain: Chain) -> dict[str, Report]:
    """Run both phases, also from a phase 1 that was stopped early, and evaluate every student.

    Returns:
        Model name -> what the evaluation's JSON file holds.
    """
    tag = f"seed_{chain.seed}"
    phase_1 = chain.phase_1(tag, 8, EPOCHS, *PHASE_1)
    reports = {}
    for epochs in (1, EPOCHS):
        start = phase_1.with_name(f"ckpt_epoch_{epochs - 1}.pth")
        reports[f"phase 1, {epochs} epochs"] = chain.evaluate(chain.convert(start), IMAGES, INSTANCES)
        phase_2 = chain.phase_2(f"{tag}_after_{epochs}", 4, 1, start, *PHASE_2)
        reports[f"phase 1, {epochs} epochs + phase 2"] = chain.evaluate(phase_2, IMAGES, INSTANCES)
    return reports


def markdown_table(models: dict[str, list[Report]]) -> str:
    """Return one row a model; a cell is the mean over seeds and, with several, their smallest and largest value."""
    first = next(iter(models.values()))[0]["results"]
    heads = [
        result["protocol"]["name"] + ("" if index == 0 else f" {name}")
        for result in first
        for index, name in enumerate(result["rounds"])
    ]
    lines = ["| model | " + " | ".join(heads) + " |", "| --- " * (len(heads) + 1) + "|"]
    for model, reports in models.items():
        rows = [[value for result in report["results"] for value in result["miou"]] for report in reports]
        lines.append(f"| {model} | " + " | ".join(_cell(list(column)) for column in zip(*rows, strict=True)) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f}-{max(values):.3f})"


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run all seeds and print the table; what an earlier call finished is not run again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in SA-1B layout")
    parser.add_argument(
        "--teacher", type=Path, required=True,
        help="whole model; where its file does not tell, RepViT-M1 at 256 px with a bilinear neck",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args(arguments)
    chain = Chain.for_teacher(chosen.data, chosen.teacher, chosen.output)
    chain.embed()
    models: dict[str, list[Report]] = {"teacher": [chain.evaluate(chain.teacher, IMAGES, INSTANCES)]}
    for seed in chosen.seeds:
        for model, report in run_seed(replace(chain, seed=seed)).items():
            models.setdefault(model, []).append(report)
        print(markdown_table(models), flush=True)
    print(models["teacher"][0]["results"][0]["protocol"]["line"])


if __name__ == "__main__":
    main()
