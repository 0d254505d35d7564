"""How many of a picture's annotated masks are among those that are found without being asked for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_utils
from torch.utils.data import DataLoader, Dataset

from edge_sam.data.sa1b import Refusal, Sample
from edge_sam.distributed import World, gather_objects
from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.evaluation.bootstrap import Interval, interval_by_image
from edge_sam.evaluation.buckets import IOU_THRESHOLDS, SIZES
from edge_sam.evaluation.data_hash import hash_image
from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
from edge_sam.modeling.sam import Sam

_THRESHOLDS = np.array(IOU_THRESHOLDS)

_SIZES = {"all": (0, np.inf), **SIZES}

_NOT_FOUND = 2**31 - 1


@dataclass(frozen=True)
class RecallProtocol:
    """How masks are looked for and compared.

    Attributes:
        points_per_side: see :class:`SamAutomaticMaskGenerator`, as for those that follow.
        pred_iou_thresh: bar of the predicted IoU.
        stability_score_thresh: bar of the stability score.
        box_nms_thresh: IoU of boxes above which two masks are one.
        crop_n_layers: layers of crops.
        spare_points: do not ask in the midst of what was found, nor make masks that repeat.
        limits: recall among so many best masks of an image.
    """

    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    spare_points: bool = False
    limits: tuple[int, ...] = (10, 100, 1000)

    def describe(self) -> str:
        """Return the whole protocol in one line."""
        spared = ", none asked in the midst of what was found, repeated masks left out" if self.spare_points else ""
        crops = f", {self.crop_n_layers} layers of crops" if self.crop_n_layers else ""
        return (
            f"automatic masks from {self.points_per_side} x {self.points_per_side} points{spared}{crops}; predicted "
            f"IoU > {self.pred_iou_thresh}, stability >= {self.stability_score_thresh}, box NMS {self.box_nms_thresh}; "
            "ranked by the mean of predicted IoU and stability; recall over IoU 0.50:0.05:0.95, matched one to one, "
            "best ranked first, classes ignored; ground truth exact (as annotated, at original size)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all fields and the line."""
        return {"line": self.describe(), **asdict(self)}

    def generator(self, sam: Sam, points_per_batch: int) -> SamAutomaticMaskGenerator:
        """Return what finds the masks, decoding so many points at once."""
        return SamAutomaticMaskGenerator(
            sam,
            points_per_side=self.points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
            box_nms_thresh=self.box_nms_thresh,
            crop_n_layers=self.crop_n_layers,
            output_mode="coco_rle",
            spare_points=self.spare_points,
        )


@dataclass(frozen=True)
class ImageRecall:
    """What one image gave.

    Attributes:
        index: position of the image in its data set.
        image_id: its name.
        data_sha256: see :func:`edge_sam.evaluation.data_hash.hash_image`.
        found: how many masks were found.
        ranks: by size, int32 (thresholds, n): at which rank each of the n annotated masks of that size was found.
    """

    index: int
    image_id: str
    data_sha256: str
    found: int
    ranks: dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class AverageRecallResult:
    """The outcome of one protocol.

    Attributes:
        protocol: what was measured.
        images: one entry an image, in the order of the data set.
        failures: images for which the model gave NaN or infinity; there it has found nothing.
        refusals: images and annotations that could not be read; they are not measured.

    Sizes are "all" and COCO's "small", "medium" and "large", by the annotated masks' pixels.
    """

    protocol: RecallProtocol
    images: tuple[ImageRecall, ...]
    failures: tuple[str, ...]
    refusals: tuple[Refusal, ...]

    def instances(self, size: str = "all") -> int:
        """How many annotated masks of a size were looked for."""
        return sum(image.ranks[size].shape[1] for image in self.images)

    def recall(self, limit: int, size: str = "all") -> NDArray[np.float64]:
        """Return the recall among the ``limit`` best masks of each image, by IoU threshold; NaN without masks."""
        hits = sum(((image.ranks[size] < limit).sum(axis=1) for image in self.images), np.zeros(len(IOU_THRESHOLDS)))
        instances = self.instances(size)
        return np.asarray(hits, np.float64) / instances if instances else np.full(len(IOU_THRESHOLDS), np.nan)

    def average_recall(self, limit: int, size: str = "all") -> float:
        """Return the mean of :meth:`recall` over the IoU thresholds: AR@limit."""
        return float(self.recall(limit, size).mean())

    def interval(self, limit: int) -> Interval:
        """Return where AR@limit of all sizes lies in 95 of 100 draws of images."""
        hits = [(image.ranks["all"] < limit).mean(axis=0) for image in self.images]
        image_ids = [image.image_id for image in self.images for _ in range(image.ranks["all"].shape[1])]
        return interval_by_image(np.concatenate(hits), image_ids)


def ranks_of_matches(iou: NDArray[np.float64], thresholds: NDArray[np.float64] = _THRESHOLDS) -> NDArray[np.int32]:
    """Match masks to annotations one to one: in order of rank, each takes the free annotation it resembles most.

    As COCO's evaluation does it. So the matches among the N best masks are those whose rank is below N.

    Args:
        iou: (m, n) of masks, the best first, and annotations.
        thresholds: (T,) IoU that a match must reach.

    Returns:
        int32 (T, n): the rank of each annotation's mask from 0 on; a number above all ranks where there is none.
    """
    ranks = np.full((len(thresholds), iou.shape[1]), _NOT_FOUND, np.int32)
    if iou.shape[1] == 0:
        return ranks
    for rank in np.flatnonzero(iou.max(axis=1) >= thresholds.min()):
        resemblance = np.where(ranks == _NOT_FOUND, iou[rank], -1.0)
        best = resemblance.argmax(axis=1)
        rows = np.flatnonzero(resemblance[np.arange(len(thresholds)), best] >= thresholds)
        ranks[rows, best[rows]] = rank
    return ranks


class AnnotatedPictures(Protocol):
    """What of a data set average recall needs."""

    ids: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def read_picture(self, index: int) -> Image.Image:
        """Return a picture as its file has it."""
        ...

    def picture_sha256(self, index: int) -> str:
        """Return the SHA-256, in hexadecimal, of a picture's file."""
        ...


@dataclass(frozen=True)
class _Task:
    """One picture and its annotated masks, as run lengths; without a picture it cannot be measured."""

    index: int
    image_id: str
    picture: NDArray[np.uint8] | None
    masks: list[dict[str, Any]]
    data_sha256: str
    refusals: tuple[Refusal, ...]


class _Tasks(Dataset[_Task]):
    def __init__(self, dataset: AnnotatedPictures) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> _Task:
        image_id = self._dataset.ids[index]
        try:
            sample = self._dataset[index]
        except EdgeSamError as error:
            return _Task(index, image_id, None, [], "", (Refusal(image_id, str(error)),))
        if sample.index != index:  # it is broken, and another took its place
            return _Task(index, image_id, None, [], "", sample.refusals)
        masks = [annotation.rle for annotation in sample.annotations]
        picture = np.array(self._dataset.read_picture(index))
        sha256 = hash_image(image_id, self._dataset.picture_sha256(index), sample.annotations)
        return _Task(index, image_id, picture, masks, sha256, sample.refusals)


def evaluate_average_recall(
    sam: Sam,
    dataset: AnnotatedPictures,
    protocol: RecallProtocol,
    *,
    world: World,
    points_per_batch: int = 64,
    num_workers: int = 4,
    worker_init_fn: Callable[[int], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> AverageRecallResult:
    """Find all masks of each picture and look for the annotated ones among them.

    Args:
        sam: on ``world.device``; it is put into eval mode.
        dataset: opened with all annotations kept.
        protocol: what to do.
        world: this process among those that take part; all must call.
        points_per_batch: points decoded at once.
        num_workers: processes that read pictures, for each process here.
        worker_init_fn: called in each of them with its number when it starts.
        progress: called after each image with the number of images just done by all processes.

    Returns:
        The same on every process.

    Raises:
        EdgeSamError: no annotated mask could be looked for.
    """
    generator = protocol.generator(sam, points_per_batch)
    own = range(world.rank, len(dataset), world.size)
    loader = DataLoader[Any](
        _Tasks(dataset), batch_size=None, sampler=own, num_workers=num_workers, worker_init_fn=worker_init_fn
    )
    recalls: list[ImageRecall] = []
    failures: list[str] = []
    refused: list[Refusal] = []
    for task in loader:
        refused += task.refusals
        if task.picture is not None:
            try:
                found = generator.generate(task.picture)
            except NotFiniteError:
                failures.append(task.image_id)
                found = []
            recalls.append(_measure(found, task, protocol))
        if progress is not None:
            progress(len(dataset) / len(own))
    parts = gather_objects((recalls, failures, refused))
    result = AverageRecallResult(
        protocol,
        tuple(sorted((recall for part in parts for recall in part[0]), key=lambda recall: recall.index)),
        tuple(sorted(image_id for part in parts for image_id in part[1])),
        tuple(sorted({one for part in parts for one in part[2]}, key=lambda one: (one.image_id, one.reason))),
    )
    if result.instances() == 0:
        refusals = result.refusals
        first = f"; the first refusal: {refusals[0].image_id}: {refusals[0].reason}" if refusals else ""
        raise EdgeSamError(f"no annotated mask can be looked for in {len(result.images)} readable images{first}")
    return result


def _measure(found: list[dict[str, Any]], task: _Task, protocol: RecallProtocol) -> ImageRecall:
    found = sorted(found, key=lambda mask: -(mask["predicted_iou"] + mask["stability_score"]))
    segmentations = [mask["segmentation"] for mask in found[: max(protocol.limits)]]
    iou = np.zeros((len(segmentations), len(task.masks)))
    if segmentations and task.masks:
        iou[:] = mask_utils.iou(segmentations, task.masks, [False] * len(task.masks))
    sizes = mask_utils.area(task.masks)
    ranks = {name: ranks_of_matches(iou[:, (sizes >= low) & (sizes < high)]) for name, (low, high) in _SIZES.items()}
    return ImageRecall(task.index, task.image_id, task.data_sha256, len(found), ranks)
