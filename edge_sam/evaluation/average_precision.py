"""Average precision of the masks that a model gives for boxes, on COCO and LVIS."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.run_length_encoding import compress_runs, encode_crop
from edge_sam.data.sa1b import Refusal
from edge_sam.data.transforms import pad_images, resize_image, scale_boxes
from edge_sam.distributed import World, gather_objects
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.answers import Answers, AskedImage
from edge_sam.evaluation.ap_protocol import ApProtocol
from edge_sam.evaluation.coco_ground_truth import categories_looked_for, expect_countable, ground_truth_masks
from edge_sam.evaluation.coco_scoring import AveragePrecision, average_precision
from edge_sam.evaluation.data_hash import data_sha256
from edge_sam.evaluation.detections import BoxSource, ImageBoxes
from edge_sam.evaluation.instances import RefusedImage, load_batches
from edge_sam.evaluation.miou import evaluating
from edge_sam.evaluation.scored_masks import ScoredMasks
from edge_sam.inference.upsampling import MaskUpsampler
from edge_sam.modeling.sam import Sam
from edge_sam.prompts.batch import Prompts


@dataclass(frozen=True)
class BoxedImage:
    """One image and its boxes.

    Attributes:
        index: position of the image in its data set.
        image_id: its name.
        pixels: uint8 (3, h, w), resized.
        original_size: (H, W) of the file.
        boxes: to be asked for.
        looked_for: the only categories that count; None for all.
        refusals: annotations without a usable box.
        picture_sha256: of the picture's file.
    """

    index: int
    image_id: str
    pixels: Tensor
    original_size: tuple[int, int]
    boxes: ImageBoxes
    looked_for: frozenset[int] | None
    refusals: tuple[Refusal, ...]
    picture_sha256: str

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.pixels.shape[1], self.pixels.shape[2]


class BoxedImages(Dataset[BoxedImage | RefusedImage]):
    """The images of a data set with the boxes of a source."""

    def __init__(self, dataset: CocoDataset, source: BoxSource) -> None:
        self._dataset = dataset
        self._source = source

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> BoxedImage | RefusedImage:
        """Read an image, or say why it cannot be read."""
        name = self._dataset.ids[index]
        try:
            picture, sha256 = self._dataset.read_picture(index), self._dataset.picture_sha256(index)
        except BrokenSample as error:
            return RefusedImage((Refusal(name, str(error)),))
        boxes, refusals = self._source.of(index)
        pixels = resize_image(picture, self._dataset.image_size)
        looked_for = categories_looked_for(self._dataset, index)
        return BoxedImage(index, name, pixels, (picture.height, picture.width), boxes, looked_for, refusals, sha256)


@dataclass(frozen=True)
class ApResult:
    """The outcome of one protocol.

    Attributes:
        protocol: what was measured.
        mask_ap: AP, AP50, AP75, by size (APs, APm, APl), on LVIS by frequency (APr, APc, APf), with their intervals.
        boundary_ap: the same by boundary IoU, where the protocol asks for it.
        images: how many were measured.
        objects: annotated ones in them that are not crowds.
        crowds: annotated ones.
        boxes: how many masks were asked for.
        without_boxes: how many of the images have objects and not one box.
        strayed: image and number of boxes whose middle is out of the picture; they are asked for as they are.
        unused: id and number of boxes of images that are in the boxes' file and not among those that were measured.
        failures: image and number of the box for which the model gave NaN or infinity; its mask counts as empty.
        empty: image and annotation of masks without a pixel: they are among the objects, and nothing matches them.
        refusals: images that could not be read and annotations whose mask is broken: they are not counted; and those
            whose box is broken, where the boxes are the ground truth's: they are counted, and were not asked for.
        data_sha256: of the pictures, and of the annotations that were counted.
    """

    protocol: ApProtocol
    mask_ap: AveragePrecision
    boundary_ap: AveragePrecision | None
    images: int
    objects: int
    crowds: int
    boxes: int
    without_boxes: int
    strayed: tuple[tuple[str, int], ...]
    unused: tuple[tuple[int | str, int], ...]
    failures: tuple[tuple[str, int], ...]
    empty: tuple[tuple[str, int | str], ...]
    refusals: tuple[Refusal, ...]
    data_sha256: str


def evaluate_ap(
    sam: Sam,
    dataset: CocoDataset,
    source: BoxSource,
    protocol: ApProtocol,
    *,
    world: World,
    image_batch: int = 4,
    max_prompts: int = 32,
    num_workers: int = 4,
    worker_init_fn: Callable[[int], None] | None = None,
    amp: bool = False,
    progress: Callable[[float], None] | None = None,
) -> ApResult:
    """Measure ``sam``: a mask for each box, ranked and counted.

    The numbers do not depend on the number of processes; on batch sizes only as far as the networks' rounding does.
    What grows with the data set: of each mask that the rules can count (100 an image and category, for LVIS 300 an
    image) its run lengths as text, its score and its category. All else is of one batch, and later of one category.

    Args:
        sam: on ``world.device``. It is put into eval mode and left as it was.
        dataset: opened with all images, annotated or not: masks where there is nothing count against a model.
        source: of the boxes.
        protocol: what to do.
        world: this process among those that take part; all must call.
        image_batch: images encoded at once.
        max_prompts: boxes of an image decoded at once.
        num_workers: processes that read, for each process here.
        worker_init_fn: called in each of them with its number when it starts.
        amp: bf16 autocast over the networks.
        progress: called after each batch with the number of images just done, the other processes' estimated by this
            one's.

    Returns:
        The same on every process.

    Raises:
        EdgeSamError: annotations that cannot be counted by the rules, not one readable image.
    """
    expect_countable(dataset)
    images = BoxedImages(dataset, source)
    loader = load_batches(images, image_batch, world.rank, world.size, num_workers, worker_init_fn)
    found: list[_Found] = []
    refusals: list[Refusal] = []
    own_images = sum(len(batch) for batch in loader.batch_sampler or [])
    with evaluating(sam, world.device, amp):
        for batch in loader:
            refusals += [refusal for image in batch for refusal in image.refusals]
            sound = [image for image in batch if isinstance(image, BoxedImage)]
            found += _answer_batch(sam, sound, protocol, world.device, max_prompts)
            if progress is not None:
                progress(len(batch) * len(dataset) / own_images)
    everything = gather_objects((found, refusals))
    ordered = sorted((one for part, _ in everything for one in part), key=lambda one: one.masks.index)
    refused = [refusal for _, part in everything for refusal in part]
    if not ordered:
        first = f"; the first: {refused[0].image_id}: {refused[0].reason}" if refused else ""
        raise EdgeSamError(f"none of {len(dataset)} images can be read{first}")
    result = gather_objects(_count(dataset, source, protocol, ordered, refused) if world.is_main else None)[0]
    assert result is not None
    return result


@dataclass(frozen=True)
class _Found:
    """One image: the number of its boxes, the masks that can count; which boxes are astray, which gave no numbers."""

    image_id: str
    picture_sha256: str
    boxes: int
    masks: ScoredMasks
    strayed: list[int]
    failed: list[int]


def _answer_batch(
    sam: Sam, images: Sequence[BoxedImage], protocol: ApProtocol, device: torch.device, max_prompts: int
) -> Iterator[_Found]:
    if not images:
        return
    pixels, sizes = (part.to(device) for part in pad_images([image.pixels for image in images], sam.image_size))
    embeddings: Tensor = sam.image_encoder(sam.preprocess(pixels, sizes))
    for image, embedding in zip(images, embeddings, strict=True):
        yield _answer_image(sam, embedding[None], image, protocol, max_prompts)


def _answer_image(sam: Sam, embedding: Tensor, image: BoxedImage, protocol: ApProtocol, max_prompts: int) -> _Found:
    boxes = torch.from_numpy(scale_boxes(image.boxes.boxes, image.original_size, image.size)).float()
    asked = AskedImage(sam, embedding, image.size)
    masks: list[str] = []
    scores = [np.zeros(0)]
    failed = [np.zeros(0, dtype=bool)]
    for start in range(0, len(boxes), max_prompts):
        prompts = Prompts.from_boxes(boxes[start : start + max_prompts].to(asked.device))
        answers = asked.answer(prompts, protocol.num_multimask_outputs, protocol.multimask_select)
        masks += _run_lengths(sam, answers, image)
        failed.append(answers.failed.cpu().numpy())
        scores.append(answers.scores[:, 0].double().cpu().numpy())
    none, ranked = np.concatenate(failed), image.boxes.scores
    if protocol.ranking == "box-x-iou":
        # A mask that is none is no reason to trust its box less: it counts against the model.
        ranked = np.where(none, ranked, ranked * np.concatenate(scores))
    scored = ScoredMasks(image.index, image.original_size, masks, ranked, image.boxes.categories)
    kept = scored.countable(protocol.style, image.looked_for)
    strayed = image.boxes.strayed(image.original_size).tolist()
    return _Found(image.image_id, image.picture_sha256, len(boxes), kept, strayed, np.flatnonzero(none).tolist())


def _run_lengths(sam: Sam, answers: Answers, image: BoxedImage) -> Iterator[str]:
    """Bring masks to original size, each where it lies, as run lengths."""
    low_res = answers.masks[:, 0]
    upsampler = MaskUpsampler(low_res.shape[-1], sam.image_size, image.size, image.original_size, low_res.device)
    for mask, window in zip(low_res, upsampler.windows(low_res), strict=True):
        crop = upsampler.binary_mask(mask, window).cpu().numpy()
        runs = encode_crop(crop, window.left, window.top, image.original_size)
        yield compress_runs(runs, image.original_size)["counts"]


def _count(
    dataset: CocoDataset, source: BoxSource, protocol: ApProtocol, found: Sequence[_Found], refusals: Sequence[Refusal]
) -> ApResult:
    masks = [one.masks for one in found]
    truth = ground_truth_masks(dataset, [image.index for image in masks])
    annotated = {entry["image_id"] - 1 for entry in truth.tree["annotations"] if not entry["iscrowd"]}
    return ApResult(
        protocol=protocol,
        mask_ap=average_precision(truth, masks, protocol.style),
        boundary_ap=average_precision(truth, masks, protocol.style, boundary=True) if protocol.boundary else None,
        images=len(found),
        objects=truth.objects,
        crowds=truth.crowds,
        boxes=sum(one.boxes for one in found),
        without_boxes=sum(not one.boxes and one.masks.index in annotated for one in found),
        strayed=tuple((one.image_id, number) for one in found for number in one.strayed),
        unused=source.unused_without({image.index for image in masks}),
        failures=tuple((one.image_id, number) for one in found for number in one.failed),
        empty=truth.empty,
        refusals=tuple(sorted({*refusals, *truth.refusals}, key=lambda one: (one.image_id, one.reason))),
        data_sha256=data_sha256(
            f"{counted} {image.picture_sha256}" for counted, image in zip(truth.sha256, found, strict=True)
        ),
    )
