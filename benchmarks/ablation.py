"""What each part of the method buys: encoder alone, with the decoder, with one and with two rounds of clicks.

Every row but the start has seen as many images: what one row gives to phase 2, the first gives to a longer phase 1.

python -m benchmarks.ablation --data DIR --teacher FILE --output DIR --seeds 0 1 2
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.distillation import Report, markdown_table
from edge_sam.arguments import run_command
from edge_sam.demo.chain import Chain, expect_teacher

SETTINGS = ("VALIDATION.NUM_IMAGES", "0", "TRAIN.LR_SCALE_BY_BATCH", "False")
PHASE_1 = (*SETTINGS, "TRAIN.WARMUP_EPOCHS", "1", "TRAIN.BASE_LR", "1.5e-3")
PHASE_2 = (*SETTINGS, "TRAIN.BASE_LR", "1e-4", "TRAIN.MIN_LR", "1e-5", "DISTILL.MAX_ALLOWED_PROMPTS", "8")
ROUNDS = {1: "+ decoder, no clicks", 2: "+ 1 round of clicks (phase 2)", 3: "+ 2 rounds of clicks"}
"""By how often a step decodes."""


def run_seed(
    chain: Chain, epochs: tuple[int, int], measured: tuple[int, int], rounds_of_rows: Sequence[int]
) -> dict[str, Report]:
    """Train and evaluate the students of a seed.

    Args:
        chain: data, teacher and seed.
        epochs: of phase 1 and of phase 2.
        measured: images of the val split, and masks in each.
        rounds_of_rows: rows of phase 2, by how often each decodes; see :data:`ROUNDS`.

    Returns:
        Row name -> what the evaluation's JSON file holds.
    """
    first, second = epochs
    tag = f"seed_{chain.seed}"
    start = chain.phase_1(tag, 8, first, *PHASE_1)
    longer = chain.phase_1(f"{tag}_longer", 8, first + second, *PHASE_1)
    reports = {
        f"encoder only, {first} epochs (phase 1)": chain.evaluate(chain.convert(start), *measured),
        f"encoder only, {first + second} epochs": chain.evaluate(chain.convert(longer), *measured),
    }
    for rounds in rounds_of_rows:
        options = (*PHASE_2, "DISTILL.DECODE_ITERS", str(rounds))
        reports[ROUNDS[rounds]] = chain.evaluate(
            chain.phase_2(f"{tag}_{rounds}_rounds", 4, second, start, *options), *measured
        )
    return reports


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run all seeds and print the table after each; what an earlier call finished is not run again."""
    chosen = _parse(arguments)
    paths = (chosen.data, chosen.teacher, chosen.output)
    measured = (chosen.images, chosen.instances)
    settings: dict[str, Any] = {"train_images": chosen.train_images}
    expect_teacher(chosen.teacher)
    chain = Chain.for_teacher(*paths, **settings)
    chain.embed()
    models: dict[str, list[Report]] = {"teacher": [chain.evaluate(chain.teacher, *measured)]}
    for seed in chosen.seeds:
        seeded = Chain.for_teacher(*paths, seed=seed, **settings)
        for model, report in run_seed(seeded, tuple(chosen.epochs), measured, chosen.rounds).items():
            models.setdefault(model, []).append(report)
        print(markdown_table(models), flush=True)
    print(models["teacher"][0]["results"][0]["protocol"]["line"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in SA-1B layout, with train and val")
    parser.add_argument("--teacher", type=Path, required=True, help="a checkpoint that tells its network")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, nargs=2, default=[5, 1], help="of phase 1 and phase 2; default 5 1")
    parser.add_argument("--rounds", type=int, nargs="+", choices=ROUNDS, default=list(ROUNDS), help="rows of phase 2")
    parser.add_argument("--train-images", type=int, default=-1, help="the first so many; default all")
    parser.add_argument("--images", type=int, default=60, help="measured on; default %(default)s")
    parser.add_argument("--instances", type=int, default=8, help="masks of each; default %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
