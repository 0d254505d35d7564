"""Images with everything that their evaluation needs, prepared in the workers of a data loader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edge_sam.data.annotations import Annotation
from edge_sam.data.sa1b import Refusal, Sample
from edge_sam.data.transforms import scale_points
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.data_hash import hash_image
from edge_sam.evaluation.ground_truth import Truth, make_truth, noise_of
from edge_sam.evaluation.protocols import EvaluationProtocol, GroundTruth, PointFrom
from edge_sam.prompts.first_points import box_center_points

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Images(Protocol[T_co]):
    """A data set as a loader needs it."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int, /) -> T_co:
        """Return an image."""


class AnnotatedImages(Protocol):
    """What can be evaluated on: images in a fixed order, whose samples have their annotations, all, in a fixed order.

    Attributes:
        ids: the images' names.
        keep_annotations: samples have their ``annotations``.
    """

    ids: tuple[str, ...]
    keep_annotations: bool

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int, /) -> Sample:
        """Return an image, or raise an EdgeSamError; a sample of another ``index`` stands for a broken image, too."""

    def picture_sha256(self, index: int, /) -> str:
        """Return the SHA-256, in hexadecimal, of a picture's file."""


@dataclass(frozen=True)
class EvaluationImage:
    """One image and its n instances.

    Attributes:
        index: position of the image in its data set.
        image_id: its name.
        pixels: uint8 (3, h, w), resized.
        size: (h, w).
        original_size: (H, W) of the file and of the ground truth.
        boxes: float32 (n, 4) XYXY, input pixels.
        names: (n,) what the annotations are called, see :func:`edge_sam.data.annotations.annotation_name`.
        areas: int64 (n,) pixels of the annotated masks.
        sha256: see :func:`edge_sam.evaluation.data_hash.hash_image`.
        points: first points float32 (n, 2), input pixels, of those kinds that are wanted and need no ground truth.
        truths: ground truth by protocol.
        refusals: what was wrong with the image or single annotations.
    """

    index: int
    image_id: str
    pixels: Tensor
    size: tuple[int, int]
    original_size: tuple[int, int]
    boxes: NDArray[np.float32]
    names: tuple[int | str, ...]
    areas: NDArray[np.int64]
    sha256: str
    points: dict[PointFrom, NDArray[np.float32]]
    truths: dict[GroundTruth, Truth]
    refusals: tuple[Refusal, ...]

    def first_points(self, ground_truth: GroundTruth, kind: PointFrom) -> NDArray[np.float32]:
        """Return the first points (n, 2) of a kind."""
        return self.points[kind] if kind in self.points else self.truths[ground_truth].points[kind]


@dataclass(frozen=True)
class RefusedImage:
    """An image that cannot be evaluated."""

    refusals: tuple[Refusal, ...]


class EvaluationDataset(Dataset[EvaluationImage | RefusedImage]):
    """A data set's images as :class:`EvaluationImage`, ground truth decoded once for all protocols.

    Args:
        dataset: opened with ``keep_annotations`` and all annotations in the order of the file.
        protocols: what will be measured; decides which ground truths and points are made.
        max_instances: take the first so many annotations of an image; None for all.
    """

    def __init__(
        self, dataset: AnnotatedImages, protocols: Sequence[EvaluationProtocol], max_instances: int | None = None
    ) -> None:
        if not dataset.keep_annotations:
            raise ValueError("evaluation needs a data set that keeps its annotations")
        self._dataset = dataset
        self._max_instances = max_instances
        self._kinds: dict[GroundTruth, set[PointFrom]] = {}
        for protocol in protocols:
            kinds = self._kinds.setdefault(protocol.ground_truth, set())
            if protocol.prompt_type == "point":
                kinds.add(protocol.point_from)
        seeds = {protocol.seed for protocol in protocols}
        if len(seeds) != 1:
            raise ValueError(f"protocols that share a run share their seed, found {sorted(seeds)}")
        (self._seed,) = seeds

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> EvaluationImage | RefusedImage:
        """Prepare an image; a broken one is not replaced by its neighbour, which would count twice."""
        try:
            sample = self._dataset[index]
        except EdgeSamError as error:
            return RefusedImage((Refusal(self._dataset.ids[index], str(error)),))
        if sample.index != index:
            return RefusedImage(sample.refusals)
        annotations = sample.annotations[: self._max_instances]
        masks = [CroppedMask.from_crop(*annotation.decode_crop()) for annotation in annotations]
        noise = [noise_of(self._seed, sample.image_id, number, 0) for number in range(len(masks))]
        boxes = sample.boxes[: len(masks)].numpy()
        return EvaluationImage(
            index=index,
            image_id=sample.image_id,
            pixels=sample.image,
            size=sample.size,
            original_size=sample.original_size,
            boxes=boxes,
            names=tuple(annotation.name for annotation in annotations),
            areas=np.array([mask.area for mask in masks], dtype=np.int64),
            sha256=hash_image(sample.image_id, self._dataset.picture_sha256(index), annotations),
            points=self._points(sample, annotations, boxes),
            truths={
                ground_truth: make_truth(masks, sample.original_size, sample.size, ground_truth, kinds, noise)
                for ground_truth, kinds in self._kinds.items()
            },
            refusals=sample.refusals,
        )

    def _points(
        self, sample: Sample, annotations: Sequence[Annotation], boxes: NDArray[np.float32]
    ) -> dict[PointFrom, NDArray[np.float32]]:
        """Return the points that come from annotations (n of them, boxes (n, 4) in input pixels) as they are."""
        points: dict[PointFrom, NDArray[np.float32]] = {"box-center": box_center_points(boxes).astype(np.float32)}
        if any("point" in kinds for kinds in self._kinds.values()):
            # Where the file has none, each costs a distance transform.
            annotated = np.array([annotation.first_point() for annotation in annotations]).reshape(-1, 2)
            points["point"] = scale_points(annotated, sample.original_size, sample.size).astype(np.float32)
        return points


def load_batches(
    images: Images[T],
    batch_size: int,
    rank: int,
    world_size: int,
    num_workers: int,
    worker_init_fn: Callable[[int], None] | None = None,
) -> DataLoader[list[T]]:
    """Read this process's batches: batches, not images, are dealt in turn.

    So an image is always encoded together with the same neighbours, for any number of processes.
    """
    starts = range(rank * batch_size, len(images), world_size * batch_size)
    batches = [list(range(start, min(start + batch_size, len(images)))) for start in starts]
    return DataLoader[Any](
        images,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=list,
        num_workers=num_workers,
        worker_init_fn=worker_init_fn,
    )
