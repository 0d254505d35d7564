"""Mean IoU of a model's masks over the instances of a data set, after the first prompt and after each click."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.data.sa1b import Refusal
from edge_sam.data.transforms import pad_images
from edge_sam.distributed import World, gather_objects
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.answers import PromptedModel
from edge_sam.evaluation.data_hash import data_sha256
from edge_sam.evaluation.instances import (
    AnnotatedImages,
    EvaluationDataset,
    EvaluationImage,
    RefusedImage,
    load_batches,
)
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.simulated_user import Measured, measure_image


@dataclass(frozen=True)
class ImageScores:
    """What one image gave by one protocol.

    Attributes:
        index: position of the image in its data set.
        image_id: its name.
        sha256: see :func:`edge_sam.evaluation.data_hash.hash_image`.
        names: (m,) of all its instances, see :class:`MiouResult`.
        areas: int64 (m,).
        present: bool (m,), which n of the m have ground truth.
        measured: what those n gave.
    """

    index: int
    image_id: str
    sha256: str
    names: tuple[int | str, ...]
    areas: NDArray[np.int64]
    present: NDArray[np.bool_]
    measured: Measured


@dataclass(frozen=True)
class BatchScores:
    """What one batch of images gave.

    Attributes:
        scores: those of the sound images in their order, by protocol.
        refusals: what could not be read.
    """

    scores: list[list[ImageScores]]
    refusals: list[Refusal]


@dataclass(frozen=True)
class MiouResult:
    """The outcome of one protocol.

    Attributes:
        protocol: what was measured.
        image_ids: (n,) the image of each instance; instances are in the order of the data set.
        numbers: int64 (n,) its position among the image's instances.
        names: (n,) what it is called, see :func:`edge_sam.data.annotations.annotation_name`.
        areas: int64 (n,) pixels of the annotated mask.
        iou: float64 (n, rounds).
        boundary_iou: float64 (n, rounds) where the protocol asks for it.
        failures: image id, name and round of the instances for which the model gave NaN or infinity: the IoU is 0.
        empty: image id and name of instances without a ground-truth pixel; they are not among the n.
        refusals: images and annotations that could not be read; they are not among the n.
        data_sha256: of the pictures and annotations used, see :func:`edge_sam.evaluation.data_hash.data_sha256`.
    """

    protocol: EvaluationProtocol
    image_ids: tuple[str, ...]
    numbers: NDArray[np.int64]
    names: tuple[int | str, ...]
    areas: NDArray[np.int64]
    iou: NDArray[np.float64]
    boundary_iou: NDArray[np.float64] | None
    failures: tuple[tuple[str, int | str, str], ...]
    empty: tuple[tuple[str, int | str], ...]
    refusals: tuple[Refusal, ...]
    data_sha256: str

    @property
    def miou(self) -> list[float]:
        """Mean over all instances, whatever image they are of: after the first prompt, +1, +2, ..."""
        return _means(self.iou)

    @property
    def boundary_miou(self) -> list[float] | None:
        """Mean boundary IoU, as :attr:`miou`."""
        return None if self.boundary_iou is None else _means(self.boundary_iou)

    @property
    def instances(self) -> int:
        """How many instances were measured."""
        return len(self.numbers)

    @property
    def images(self) -> int:
        """How many images they are of."""
        return len(set(self.image_ids))


def _means(values: NDArray[np.float64]) -> list[float]:
    return [math.fsum(column) / len(column) for column in values.T]


def evaluate_miou(
    sam: PromptedModel,
    dataset: AnnotatedImages,
    protocols: Sequence[EvaluationProtocol],
    *,
    world: World,
    image_batch: int = 4,
    max_prompts: int = 32,
    max_instances: int | None = None,
    num_workers: int = 4,
    worker_init_fn: Callable[[int], None] | None = None,
    amp: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[MiouResult]:
    """Measure ``sam`` by several protocols; each image is read and encoded once for all of them.

    The numbers do not depend on the number of processes; on batch sizes only as far as the networks' rounding does.

    Args:
        sam: on ``world.device``. It is put into eval mode and left as it was.
        dataset: see :class:`EvaluationDataset`.
        protocols: with one seed.
        world: this process among those that take part; all must call.
        image_batch: images encoded at once.
        max_prompts: prompts of an image decoded at once.
        max_instances: the first so many annotations of an image; None for all.
        num_workers: processes that read and prepare, for each process here.
        worker_init_fn: called in each of them with its number when it starts.
        amp: bf16 autocast over the networks.
        progress: called after each batch with the number of images just done, the other processes' estimated by this
            one's.

    Returns:
        One result a protocol, the same on every process.

    Raises:
        EdgeSamError: no instance could be measured.
    """
    images = EvaluationDataset(dataset, protocols, max_instances)
    loader = load_batches(images, image_batch, world.rank, world.size, num_workers, worker_init_fn)
    own_images = sum(len(batch) for batch in loader.batch_sampler or [])
    own: list[BatchScores] = []
    with evaluating(sam, world.device, amp):
        for batch in loader:
            own.append(score_batch(sam, batch, protocols, world.device, max_prompts))
            if progress is not None:
                progress(len(batch) * len(dataset) / own_images)
    everything = [batch for part in gather_objects(own) for batch in part]
    refusals = [refusal for batch in everything for refusal in batch.refusals]
    return [
        collect_result(protocol, [score for batch in everything for score in batch.scores[number]], refusals)
        for number, protocol in enumerate(protocols)
    ]


@contextmanager
def evaluating(sam: PromptedModel, device: torch.device, amp: bool) -> Iterator[None]:
    """Eval mode, no gradients, perhaps bf16; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in sam.modules()]
    sam.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
            yield
    finally:
        for module, training in modes:
            module.training = training


def score_batch(
    sam: PromptedModel,
    batch: Sequence[EvaluationImage | RefusedImage],
    protocols: Sequence[EvaluationProtocol],
    device: torch.device,
    max_prompts: int,
) -> BatchScores:
    """Encode a batch of images at once and measure each by every protocol.

    Args:
        sam: on ``device``, see :func:`evaluating`.
        batch: as :func:`edge_sam.evaluation.instances.load_batches` reads it.
        protocols: what to measure.
        device: where ``sam`` is.
        max_prompts: prompts of an image decoded at once.
    """
    refusals = [refusal for image in batch for refusal in image.refusals]
    sound = [image for image in batch if not isinstance(image, RefusedImage)]
    embeddings = encode_images(sam, sound, device)
    scores = [
        [
            _score_image(sam, embedding, image, protocol, max_prompts)
            for image, embedding in zip(sound, embeddings, strict=True)
        ]
        for protocol in protocols
    ]
    return BatchScores(scores, refusals)


def encode_images(sam: PromptedModel, images: Sequence[EvaluationImage], device: torch.device) -> list[Tensor]:
    """Return the embeddings (1, 256, h, w) of images, encoded at once."""
    if not images:
        return []
    pixels, sizes = (part.to(device) for part in pad_images([image.pixels for image in images], sam.image_size))
    embeddings: Tensor = sam.image_encoder(sam.preprocess(pixels, sizes))
    return [embedding[None] for embedding in embeddings]


def _score_image(
    sam: PromptedModel, embedding: Tensor, image: EvaluationImage, protocol: EvaluationProtocol, max_prompts: int
) -> ImageScores:
    return ImageScores(
        index=image.index,
        image_id=image.image_id,
        sha256=image.sha256,
        names=image.names,
        areas=image.areas,
        present=image.truths[protocol.ground_truth].present,
        measured=measure_image(sam, embedding, image, protocol, max_prompts),
    )


def collect_result(
    protocol: EvaluationProtocol, scores: Sequence[ImageScores], refusals: Sequence[Refusal]
) -> MiouResult:
    """Put together what the images of a data set gave.

    Args:
        protocol: by which all were measured.
        scores: of each image once, in any order.
        refusals: what could not be read; what is there twice counts once.

    Raises:
        EdgeSamError: there is no instance.
    """
    scores = sorted(scores, key=lambda score: score.index)
    left_out = tuple(sorted(set(refusals), key=lambda refusal: (refusal.image_id, refusal.reason)))
    if not any(score.present.any() for score in scores):
        first = f"; the first refusal: {left_out[0].image_id}: {left_out[0].reason}" if left_out else ""
        raise EdgeSamError(f"no instance can be evaluated in {len(scores)} readable images{first}")
    numbers = np.concatenate([np.flatnonzero(score.present) for score in scores])
    image_ids = tuple(score.image_id for score in scores for _ in range(score.present.sum()))
    names = tuple(score.names[number] for score in scores for number in np.flatnonzero(score.present))
    boundary = [score.measured.boundary_iou for score in scores]
    failed = np.argwhere(np.concatenate([score.measured.failed for score in scores]))
    return MiouResult(
        protocol=protocol,
        image_ids=image_ids,
        numbers=numbers,
        names=names,
        areas=np.concatenate([score.areas[score.present] for score in scores]),
        iou=np.concatenate([score.measured.iou for score in scores]),
        boundary_iou=np.concatenate([part for part in boundary if part is not None]) if protocol.boundary else None,
        failures=tuple((image_ids[row], names[row], protocol.rounds[column]) for row, column in failed.tolist()),
        empty=tuple(
            (score.image_id, score.names[missing]) for score in scores for missing in np.flatnonzero(~score.present)
        ),
        refusals=left_out,
        data_sha256=data_sha256(score.sha256 for score in scores),
    )
