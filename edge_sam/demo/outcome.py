"""What the tour has found: three models, their evaluations, the runs they came from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sam.demo.chain import Chain
from edge_sam.demo.plan import Plan

MODELS = ("teacher", "phase 1", "phase 2")
STYLES = {model: model.replace(" ", "-") for model in MODELS}
"""Class of the style sheet by model."""


@dataclass(frozen=True)
class Outcome:
    """All that the report speaks of.

    Attributes:
        chain: with the journal of what was run.
        plan: its sizes.
        draws: the pictures were drawn, not given.
        models: checkpoint by model.
        evaluations: content of the evaluation's JSON file by model.
        runs: run folder by phase.
    """

    chain: Chain
    plan: Plan
    draws: bool
    models: dict[str, Path]
    evaluations: dict[str, dict[str, Any]]
    runs: dict[str, Path]

    @property
    def images(self) -> int:
        """How many pictures were measured."""
        return int(self.evaluations["teacher"]["results"][0]["images"])

    @property
    def instances(self) -> int:
        """How many masks were measured."""
        return int(self.evaluations["teacher"]["results"][0]["instances"])

    def rows(self) -> list[tuple[str, tuple[float, ...]]]:
        """Return a prompt and the models' mIoU, for each prompt."""
        found = []
        results = [self.evaluations[name]["results"] for name in MODELS]
        for of_models in zip(*results, strict=True):
            name, rounds = of_models[0]["protocol"]["name"], of_models[0]["rounds"]
            for number in range(len(rounds)):
                prompt = name if number == 0 else f"{rounds[0]} {rounds[number]}"
                found.append((prompt, tuple(float(result["miou"][number]) for result in of_models)))
        return found

    def metrics(self, phase: str) -> list[dict[str, Any]]:
        """Return what a phase recorded on its way."""
        lines = (self.runs[phase] / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def images_seen(self, phase: str) -> int:
        """How many pictures a phase learnt from, each pass counted."""
        return self.images_at(phase, self.metrics(phase)[-1])

    def images_at(self, phase: str, record: dict[str, Any]) -> int:
        """How many it was at a record of its: an epoch's last images fill no batch and are left out."""
        return int(record["step"]) * self.plan.batch_sizes[phase]

    def seconds(self, step: str) -> float:
        """How long a step took."""
        return sum(entry.seconds for entry in self.chain.journal.walked() if entry.step == step)
