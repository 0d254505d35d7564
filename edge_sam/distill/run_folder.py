"""What a training run leaves to be looked at: lines, metrics, curves, broken images, the best checkpoint."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from torch.utils.tensorboard import SummaryWriter

from edge_sam.atomic_writing import write_atomically
from edge_sam.config import RunConfig
from edge_sam.data.sa1b import Refusal
from edge_sam.distill.training_checkpoint import epoch_file
from edge_sam.distributed import World, agree_on_errors, gather_objects
from edge_sam.errors import EdgeSamError
from edge_sam.exclusive_lock import exclusive_lock

Split = Literal["train", "val"]

BEST_CHECKPOINT = "ckpt_best.pth"
"""The best epoch's checkpoint under a second name; runs never go on from it."""

_SCORE = "miou/mean"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: optimizer steps done, in the batches of now.
        images: images seen by all processes, a finished epoch's all counted. Unlike steps they mean the same for any
            number of processes and any batch, so all that is ordered is ordered by them.
        epoch: the one of these images' last.
    """

    step: int
    images: int
    epoch: int


class RunFolder:
    """``<output>/<config name>/<tag>/``; only the main process writes and prints.

    Files: ``config.yaml`` (resolved), ``log.txt``, ``metrics.jsonl``, ``tensorboard/``, ``refused.jsonl`` (broken
    images and annotations, each once), ``best.json`` and ``ckpt_best.pth``. Curves are drawn over images seen.

    Args:
        config: of the run.
        world: the processes.
    """

    def __init__(self, config: RunConfig, world: World) -> None:
        self.path = config.run_folder
        self._config = config
        self._world = world
        self._known_refusals: set[tuple[Split, Refusal]] = set()
        self._told_of_refusals = ""
        self._held = ExitStack()
        self._tensorboard: SummaryWriter | None = None
        self._wandb: Any = None
        self._bar: Bar | None = None
        self._unwritten: list[str] | None = []
        """Lines said before the folder exists: a run that cannot begin leaves nothing."""

    def begin(self, done: Progress, total_steps: int) -> None:
        """Get ready to go on from ``done``: what was recorded of later images is dropped."""
        self._known_refusals = set(gather_objects(self._read_refusals())[0])
        with agree_on_errors():
            if self._world.is_main:
                self._make()
                self._begin_records(done.images)
        if self._world.is_main and Console().is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
            self._bar = Bar(*columns, transient=True)
            self._bar.add_task("", total=total_steps, completed=done.step)
            self._bar.start()

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            busy = f"{self.path}: another run is at work there: wait for its end, or choose another --tag"
            self._held.enter_context(exclusive_lock(self.path / ".lock", busy))
            (self.path / "config.yaml").write_text(self._config.to_yaml())
        except OSError as error:
            raise EdgeSamError(
                f"{self.path}: cannot be written ({error.strerror}); --output names another place"
            ) from error
        said, self._unwritten = self._unwritten or [], None
        for line in said:
            self._log(line)

    def _begin_records(self, images: int) -> None:
        lines = [json.dumps(record) + "\n" for record in self._records() if record["images"] <= images]
        write_atomically(self.path / "metrics.jsonl", "".join(lines))
        self._mark_best()
        self._tensorboard = SummaryWriter(str(self.path / "tensorboard"), purge_step=images + 1)
        if self._config.USE_WANDB:
            self._wandb = _start_wandb(self._config)

    def say(self, line: str) -> None:
        """Print a line and keep it in ``log.txt``."""
        if not self._world.is_main:
            return
        stamped = f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n"
        if self._unwritten is None:
            self._log(stamped)
        else:
            self._unwritten.append(stamped)
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)

    def _log(self, line: str) -> None:
        with (self.path / "log.txt").open("a") as file:
            file.write(line)

    def advance(self, step: int, status: str) -> None:
        """Move the bar of a terminal to ``step``."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=status)

    def record(self, done: Progress, group: str, values: Mapping[str, float]) -> None:
        """Add numbers to ``metrics.jsonl``, TensorBoard and wandb, under ``group/name``."""
        if not self._world.is_main:
            return
        named = {f"{group}/{name}": value for name, value in values.items()}
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**asdict(done), **named}) + "\n")
        assert self._tensorboard is not None, "begin() comes first"
        for name, value in named.items():
            self._tensorboard.add_scalar(name, value, done.images)
        self._tensorboard.flush()
        if self._wandb is not None:
            self._wandb.log({"step": done.step, "epoch": done.epoch, **named}, step=done.images)

    def record_score(self, done: Progress, scores: Mapping[str, float]) -> bool:
        """Record the mIoU at an epoch's end and mark its checkpoint if it is the best so far.

        Args:
            done: the epoch's end.
            scores: with ``mean``, the one that is compared.

        Returns:
            Whether it is the best; on the main process.
        """
        self.record(done, "miou", scores)
        if not self._world.is_main:
            return False
        self._mark_best()
        best = self.best()
        return best is not None and best["epoch"] == done.epoch

    def has_score(self, epoch: int) -> bool:
        """Whether an epoch's mIoU was recorded; every process gets the main one's answer."""
        found = self._world.is_main and any(record["epoch"] == epoch for record in self._scores())
        return gather_objects(found)[0]

    def refuse(self, refusals: Iterable[Refusal], split: Split) -> int:
        """Add what all processes met to ``refused.jsonl``, each once. All processes call it together.

        Returns:
            How many images of the split are broken so far; those that a filter left out are not.
        """
        met = {(split, refusal) for found in gather_objects(list(refusals)) for refusal in found}
        new = sorted(met - self._known_refusals, key=lambda known: (known[1].image_id, known[1].reason))
        self._known_refusals |= met
        if new and self._world.is_main:
            with (self.path / "refused.jsonl").open("a") as file:
                file.writelines(json.dumps({"split": split, **asdict(refusal)}) + "\n" for _, refusal in new)
        broken = {one.image_id for where, one in self._known_refusals if where == split and one.kind == "image"}
        return len(broken)

    def say_refusals(self) -> None:
        """Say how much was left out so far, unless it is what was said last."""
        counts = Counter(refusal.kind for _, refusal in self._known_refusals)
        told = (
            f"left out so far: {counts['image']} broken images, {counts['filtered']} without an annotation that is "
            f"large enough, {counts['annotation']} broken annotations: see {self.path / 'refused.jsonl'}"
        )
        if counts and told != self._told_of_refusals:
            self.say(told)
            self._told_of_refusals = told

    def best(self) -> dict[str, Any] | None:
        """Return what ``best.json`` holds."""
        path = self.path / "best.json"
        if not path.is_file():
            return None
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def _mark_best(self) -> None:
        """Let ``best.json`` and ``ckpt_best.pth`` be those of the highest mIoU on record whose checkpoint is there."""
        marked = self.best()
        kept = None if marked is None else marked["epoch"]  # also where its other name was deleted
        there = [
            record
            for record in self._scores()
            if record["epoch"] == kept or (self.path / epoch_file(record["epoch"])).is_file()
        ]
        if not there:
            for name in ("best.json", BEST_CHECKPOINT):
                (self.path / name).unlink(missing_ok=True)
            return
        best = max(there, key=lambda record: record[_SCORE])
        content = {"checkpoint": epoch_file(best["epoch"])}
        content |= {"step": best["step"], "images": best["images"], "epoch": best["epoch"], "miou": best[_SCORE]}
        if content == marked:
            return
        temporary = self.path / f".{BEST_CHECKPOINT}.tmp"
        temporary.unlink(missing_ok=True)
        try:
            os.link(self.path / content["checkpoint"], temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(self.path / content["checkpoint"], temporary)
        temporary.replace(self.path / BEST_CHECKPOINT)
        write_atomically(self.path / "best.json", json.dumps(content) + "\n")

    def _records(self) -> list[dict[str, Any]]:
        return _read_lines(self.path / "metrics.jsonl")

    def _scores(self) -> list[dict[str, Any]]:
        return [record for record in self._records() if _SCORE in record]

    def close(self) -> None:
        """Finish the bar and the trackers, and let others use the folder."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()
        self._held.close()

    def _read_refusals(self) -> list[tuple[Split, Refusal]]:
        if not self._world.is_main:
            return []
        records = _read_lines(self.path / "refused.jsonl")
        # An embedding pass of the same configuration and tag writes its list there, of images that no run reads.
        return [(record.pop("split"), Refusal(**record)) for record in records if "split" in record]


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; a last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _start_wandb(config: RunConfig) -> Any:  # noqa: ANN401 - an optional package
    try:
        import wandb
    except ImportError as error:
        raise EdgeSamError(
            "USE_WANDB is set, but wandb is not installed: pip install wandb, or leave it off"
        ) from error
    name = f"{config.NAME}-{config.TAG}"
    settings = config.model_dump(mode="json")
    place = hashlib.sha256(str(config.run_folder.resolve()).encode()).hexdigest()[:8]  # other folders: other runs
    return wandb.init(
        project="edge_sam", name=name, id=f"{name}-{place}", resume="allow", dir=config.run_folder, config=settings
    )
