"""What each model gave on each data set, kept in files: measured once, whatever is compared and however often."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch.utils.data import Subset

import edge_sam
from edge_sam.data.sa1b import Refusal
from edge_sam.evaluation.compared_models import ComparedModel
from edge_sam.evaluation.instances import AnnotatedImages, EvaluationDataset, load_batches
from edge_sam.evaluation.miou import ImageScores, MiouResult, collect_result, evaluating, score_batch
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.record_file import Record, RecordFile
from edge_sam.evaluation.simulated_user import Measured

NUMBERS_VERSION = 2
"""To be raised with every change between two releases that gives other numbers: all is then measured again."""


class ComparedImages(AnnotatedImages, Protocol):
    """A data set that can be told from others, and whose pictures can be shown."""

    def identity(self) -> str:
        """Return what another data set, or this one after a change, does not have."""

    def read_picture(self, index: int, /) -> Image.Image:
        """Return a picture as its file has it."""


@dataclass(frozen=True)
class MeasuredData:
    """The images and instances of a comparison.

    Attributes:
        name: of the data set.
        identity: see :meth:`ComparedImages.identity`.
        num_images: how many there are, those that turn out to be broken, too.
        max_instances: the first so many annotations of an image; None for all.
    """

    name: str
    identity: str
    num_images: int
    max_instances: int | None


@dataclass(frozen=True)
class Pace:
    """What decides time and memory, and the numbers no further than the networks' rounding.

    Attributes:
        image_batch: images encoded at once; so many are lost at most when a run is killed.
        max_prompts: prompts of an image decoded at once.
        num_workers: processes that read and prepare.
    """

    image_batch: int = 4
    max_prompts: int = 32
    num_workers: int = 4


class Measurement:
    """One model by one protocol on one data set.

    Args:
        folder: of all such files; it must be there.
        model: is told by its hash, whatever it is called.
        protocol: what is measured.
        data: on what.
        amp: bf16 autocast over the networks.

    Attributes:
        protocol: as given.
        header: everything that decides the numbers.
        path: the file.
    """

    def __init__(
        self, folder: Path, model: ComparedModel, protocol: EvaluationProtocol, data: MeasuredData, amp: bool
    ) -> None:
        self.header: Record = {
            "edge_sam": edge_sam.__version__,  # as it stands beside the numbers
            "numbers_version": NUMBERS_VERSION,
            "model_sha256": model.sha256,
            "network": model.network,
            "computed": {"precision": model.precision(amp), "device": model.device.type},
            "protocol": asdict(protocol),
            "data": asdict(data),
        }
        key = hashlib.sha256(json.dumps(self.header, sort_keys=True).encode()).hexdigest()
        self.protocol = protocol
        self.path = folder / f"{model.sha256[:8]}_{data.name}_{protocol.file_name}_{key[:16]}.jsonl"
        self._file = RecordFile(self.path, self.header)

    @property
    def images_done(self) -> int:
        """How many images were measured, from the first on."""
        return int(self._file.last["images_done"]) if self._file.last is not None else 0

    def add(self, images_done: int, scores: Sequence[ImageScores], refusals: Sequence[Refusal]) -> None:
        """Write down what a batch gave.

        Args:
            images_done: with this batch.
            scores: of its images; those that were written before are left out.
            refusals: what could not be read.
        """
        fresh = [_scores_to_record(score) for score in scores if score.index >= self.images_done]
        self._file.append(
            {"images_done": images_done, "scores": fresh, "refusals": [vars(refusal) for refusal in refusals]}
        )

    def result(self) -> MiouResult:
        """Put together what was measured.

        Raises:
            EdgeSamError: there is no instance.
        """
        rounds = len(self.protocol.rounds)
        scores: list[ImageScores] = []
        refusals: list[Refusal] = []
        for record in self._file.records():
            scores += [_scores_from_record(score, rounds) for score in record["scores"]]
            refusals += [Refusal(**refusal) for refusal in record["refusals"]]
        return collect_result(self.protocol, scores, refusals)


def measure_rest(
    model: ComparedModel,
    dataset: AnnotatedImages,
    measurements: Sequence[Measurement],
    max_instances: int | None,
    pace: Pace,
    amp: bool,
    progress: Callable[[float], None],
) -> None:
    """Measure what is missing, each image read and encoded once for all protocols that miss it.

    Args:
        model: is opened only where something is missing.
        dataset: at the model's image size.
        measurements: of this model on this data set.
        max_instances: as their data say.
        pace: how.
        amp: bf16 autocast.
        progress: called with the number of images just done or found done.
    """
    unfinished = [one for one in measurements if one.images_done < len(dataset)]
    position = min((one.images_done for one in unfinished), default=len(dataset))
    progress(position)
    if not unfinished:
        return
    sam = model.open()
    images = EvaluationDataset(dataset, [one.protocol for one in unfinished], max_instances)
    rest = Subset(images, range(position, len(dataset)))
    with evaluating(sam, model.device, amp):
        for batch in load_batches(rest, pace.image_batch, 0, 1, pace.num_workers):
            position += len(batch)
            behind = [one for one in unfinished if one.images_done < position]
            found = score_batch(sam, batch, [one.protocol for one in behind], model.device, pace.max_prompts)
            for one, scores in zip(behind, found.scores, strict=True):
                one.add(position, scores, found.refusals)
            progress(len(batch))


def _scores_to_record(score: ImageScores) -> Record:
    measured = score.measured
    return {
        "index": score.index,
        "image_id": score.image_id,
        "sha256": score.sha256,
        "names": list(score.names),
        "areas": score.areas.tolist(),
        "present": score.present.astype(int).tolist(),
        "iou": measured.iou.tolist(),
        "boundary_iou": None if measured.boundary_iou is None else measured.boundary_iou.tolist(),
        "failed": measured.failed.astype(int).tolist(),
    }


def _scores_from_record(record: dict[str, Any], rounds: int) -> ImageScores:
    def by_round(values: list[list[float]], kind: type) -> Any:  # noqa: ANN401 - an array of the kind
        return np.array(values, dtype=kind).reshape(-1, rounds)  # without an instance, too

    boundary = record["boundary_iou"]
    return ImageScores(
        index=record["index"],
        image_id=record["image_id"],
        sha256=record["sha256"],
        names=tuple(record["names"]),
        areas=np.array(record["areas"], dtype=np.int64),
        present=np.array(record["present"], dtype=bool),
        measured=Measured(
            iou=by_round(record["iou"], float),
            boundary_iou=None if boundary is None else by_round(boundary, float),
            failed=by_round(record["failed"], bool),
        ),
    )
