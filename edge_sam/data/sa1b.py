"""Images with the prompts that their annotations give, ready to be batched.

Coordinates of samples and batches are (x, y) in input pixels, those of the resized image before padding.
"""

import hashlib
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from edge_sam.data.annotations import Annotation, BrokenSample, ImageAnnotations, expect_size, parse_annotations
from edge_sam.data.augmentation import Augmentation
from edge_sam.data.identity import source_identity
from edge_sam.data.image_list import choose_images
from edge_sam.data.sources import open_source
from edge_sam.data.transforms import decode_image, jitter_boxes, pad_images, resize_image, scale_boxes, scale_points
from edge_sam.data.visible_masks import visible_masks
from edge_sam.errors import EdgeSamError

_MAX_REPLACEMENTS = 100
"""So many broken images in a row mean that the data set is broken, not an image."""

_CROPS = 4
"""So many crops are tried until one shows a mask."""


@dataclass(frozen=True)
class Refusal:
    """Something that was left out of a sample, and why.

    Attributes:
        image_id: the image concerned.
        reason: what is wrong with it.
        kind: ``image``: it is broken, and another took its place. ``filtered``: it is sound, but no annotation passes
            the area filter or is large enough, and another took its place. ``annotation``: one annotation is broken,
            the image stayed.
    """

    image_id: str
    reason: str
    kind: Literal["image", "filtered", "annotation"] = "image"


@dataclass
class Sample:
    """One image and ``n`` prompts.

    Attributes:
        image_id: file name without its ending.
        index: position of the image among the data set's ids; not the one asked for when that image is broken.
        image: uint8 ``(3, h, w)``, RGB, not padded.
        size: (h, w).
        original_size: (height, width) of the file.
        side: of the square that the image is padded to.
        boxes: float32 ``(n, 4)``.
        points: float32 ``(n, 1, 2)``; ``(n, 0, 2)`` when the data set has none.
        noise: float32 ``(n, clicks)`` in [0, 1): the random numbers that this sample's clicks are drawn with.
        refusals: what was left out on the way to this sample.
        annotations: the ``n`` annotations, when the data set keeps them.
        teacher_embedding: float16 ``(256, s/16, s/16)``, when there is one.
        masks: uint8 ``(n, s/4, s/4)``, when the data set gives them: how much of each low-resolution pixel, which is
            4 x 4 input pixels of the padded square of side s, the mask covers; 255 is all.
    """

    image_id: str
    index: int
    image: Tensor
    size: tuple[int, int]
    original_size: tuple[int, int]
    side: int
    boxes: Tensor
    points: Tensor
    noise: Tensor
    refusals: tuple[Refusal, ...] = ()
    annotations: list[Annotation] = field(default_factory=list)
    teacher_embedding: Tensor | None = None
    masks: Tensor | None = None


@dataclass
class Batch:
    """``B`` samples; the prompts of all images stand one after the other.

    Attributes:
        image_ids: of the ``B`` images.
        images: uint8 ``(B, 3, s, s)``, zero outside of ``sizes``.
        sizes: int64 ``(B, 2)``, height and width before padding.
        boxes: float32 ``(N, 4)``.
        points: float32 ``(N, 1, 2)``.
        noise: float32 ``(N, clicks)``.
        image_index: int64 ``(N,)``, which image of the batch each prompt belongs to; ascending.
        refusals: those of all samples.
        teacher_embedding: float16 ``(B, 256, s/16, s/16)``, when the samples have one.
        masks: uint8 ``(N, s/4, s/4)``, when the samples have them; see :class:`Sample`.
    """

    image_ids: list[str]
    images: Tensor
    sizes: Tensor
    boxes: Tensor
    points: Tensor
    noise: Tensor
    image_index: Tensor
    refusals: list[Refusal]
    teacher_embedding: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return a batch whose tensors are on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return a batch whose tensors are in page-locked memory; the ``DataLoader`` calls this."""
        return self._each(Tensor.pin_memory)

    def _each(self, function: Callable[[Tensor], Tensor]) -> Self:
        changes: dict[str, Any] = {k: function(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **changes)


class Sa1bDataset(Dataset[Sample]):
    """Images of a split of SA-1B, in the order of their sorted names.

    A sample depends on ``(seed, epoch, image id)`` alone: it is the same in every worker, process and order.

    Args:
        root: a folder that :func:`edge_sam.data.sources.open_source` knows.
        split: ``train`` or ``val``.
        image_size: longest side of the resized image, and side of the padded square.
        num_samples: use only the first so many images by name, annotated or not, as the pass that stores embeddings
            does; -1 for all.
        image_ids: use these images instead.
        with_annotations: False: images need no annotation file, and samples have no prompts.
        max_annotations: draw at most so many annotations of an image, without replacement, in the file's order.
        clicks: random numbers that each prompt brings along.
        filter_by_area: (low, high): use only annotations whose area, in pixels of the file, lies in there.
        box_jitter: move each box side by up to this share of the box's width or height, within the image.
        keep_annotations: hand on the annotations themselves, for their masks.
        with_masks: give ``masks``, too. Then points are drawn from the masks' pixels (as SAM's training does), not
            those of the file, and masks that show less than one low-resolution pixel are left out.
        augmentation: changes images and masks; boxes are then around what a crop leaves of the masks.
        seed: of all drawing.

    Attributes:
        ids: the images' names without their endings, sorted.
        unannotated: how many of these images were left out because they have no annotation file.
        pictureless: how many annotation files of the split have no image.

    Raises:
        EdgeSamError: no such folder, no image, no annotation file that matches one of those used.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        image_size: int,
        num_samples: int = -1,
        *,
        image_ids: Collection[str] | None = None,
        with_annotations: bool = True,
        max_annotations: int | None = None,
        clicks: int = 0,
        filter_by_area: tuple[float, float] | None = None,
        box_jitter: float = 0.0,
        keep_annotations: bool = False,
        with_masks: bool = False,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        if with_masks and not with_annotations:
            raise ValueError("masks come from annotations")
        if augmentation is not None and not with_masks:
            raise ValueError("only samples with masks are augmented")
        self._source = open_source(root, split, with_annotations)
        chosen = choose_images(self._source.image_ids, num_samples, image_ids, f"{root}: the {split} split")
        self.ids = tuple(sorted(set(chosen) & set(self._source.ids)))
        if not self.ids:
            raise EdgeSamError(f"{root}: none of {len(chosen)} chosen images of the {split} split is annotated")
        self.unannotated = len(chosen) - len(self.ids)
        self.pictureless = len(self._source.pictureless_ids)
        self.image_size = image_size
        self.with_annotations = with_annotations
        self.max_annotations = max_annotations
        self.clicks = clicks
        self.filter_by_area = filter_by_area
        self.box_jitter = box_jitter
        self.keep_annotations = keep_annotations
        self.with_masks = with_masks
        self.augmentation = augmentation if augmentation is not None else Augmentation()
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Return the sample of ``index`` (in epoch 0) or of ``(epoch, index)``.

        A broken image is replaced by the next one; ``Sample.refusals`` tells.

        Raises:
            EdgeSamError: a hundred images in a row, or all, are broken.
        """
        epoch, requested = key if isinstance(key, tuple) else (0, key)
        if not 0 <= requested < len(self):
            raise IndexError(requested)
        refusals: list[Refusal] = []
        for step in range(min(len(self), _MAX_REPLACEMENTS)):
            index = (requested + step) % len(self)
            try:
                sample = self._read(epoch, index)
            except BrokenSample as error:
                kind: Literal["filtered", "image"] = "filtered" if isinstance(error, _NothingLeft) else "image"
                refusals.append(Refusal(self.ids[index], str(error), kind))
            else:
                return replace(sample, refusals=(*refusals, *sample.refusals))
        first = refusals[0]
        raise EdgeSamError(f"{len(refusals)} images in a row are unusable, the first {first.image_id}: {first.reason}")

    def read_picture(self, index: int) -> Image.Image:
        """Return a picture as its file has it, RGB.

        Raises:
            BrokenSample: it cannot be read.
        """
        return decode_image(self._source.read_image_bytes(self.ids[index]))

    def picture_sha256(self, index: int) -> str:
        """Return the SHA-256, in hexadecimal, of a picture's file, which is read for it.

        Raises:
            BrokenSample: it cannot be read.
        """
        return hashlib.sha256(self._source.read_image_bytes(self.ids[index])).hexdigest()

    def identity(self) -> str:
        """Return what another data set of this name does not have, see :mod:`edge_sam.data.identity`."""
        return source_identity(self._source, self.ids)

    def _read(self, epoch: int, index: int) -> Sample:
        image_id = self.ids[index]
        annotations, refusals = self._usable_annotations(image_id)
        picture = self.read_picture(index)
        original_size = (picture.height, picture.width)
        if annotations:
            expect_size(original_size, annotations[0].size)
        rng = np.random.default_rng([self.seed, epoch, zlib.crc32(image_id.encode())])
        shown = (
            self._show_masks(picture, annotations, rng) if self.with_masks else self._show(picture, annotations, rng)
        )
        size = (shown.image.shape[1], shown.image.shape[2])
        boxes = shown.boxes
        if self.box_jitter > 0:
            boxes = jitter_boxes(boxes, self.box_jitter, shown.frame, rng)
        return Sample(
            image_id=image_id,
            index=index,
            image=shown.image,
            size=size,
            original_size=original_size,
            side=self.image_size,
            boxes=torch.from_numpy(scale_boxes(boxes, shown.frame, size)).float(),
            points=torch.from_numpy(scale_points(shown.points, shown.frame, size)).float(),
            noise=torch.from_numpy(rng.random((len(boxes), self.clicks), np.float32)),
            refusals=refusals,
            annotations=shown.annotations if self.keep_annotations else [],
            masks=shown.masks,
        )

    def _show(self, picture: Image.Image, annotations: list[Annotation], rng: np.random.Generator) -> "_Shown":
        """Take the picture as it is, with the prompts of its file."""
        if self.max_annotations is not None and len(annotations) > self.max_annotations:
            drawn = rng.choice(len(annotations), self.max_annotations, replace=False)
            annotations = [annotations[position] for position in np.sort(drawn)]
        return _Shown(
            image=resize_image(picture, self.image_size),
            frame=(picture.height, picture.width),
            annotations=annotations,
            boxes=np.array([annotation.box_xyxy for annotation in annotations]).reshape(-1, 4),
            points=np.array([annotation.first_point() for annotation in annotations]).reshape(-1, 1, 2),
        )

    def _show_masks(self, picture: Image.Image, annotations: list[Annotation], rng: np.random.Generator) -> "_Shown":
        """Take a view of the picture, with the prompts of those of its masks that are in view.

        Raises:
            _NothingLeft: no mask of this image is as large as a low-resolution pixel.
        """
        size = (picture.height, picture.width)
        order = rng.permutation(len(annotations))
        for view in self.augmentation.draw_views(size, self.image_size, rng, _CROPS):
            found = visible_masks(annotations, view, order, self.max_annotations)
            if found:
                break
        else:
            raise _NothingLeft("no mask is as large as one low-resolution pixel")
        points = [mask.random_point(noise) for mask, noise in zip(found, rng.random(len(found)), strict=True)]
        return _Shown(
            image=self.augmentation.recolor(view.of(picture), rng),
            frame=(view.height, view.width),
            annotations=[mask.annotation for mask in found],
            boxes=np.array([mask.box() for mask in found]),
            points=np.array(points).reshape(-1, 1, 2),
            masks=torch.from_numpy(np.stack([mask.coverage(self.image_size) for mask in found])),
        )

    def _usable_annotations(self, image_id: str) -> tuple[list[Annotation], tuple[Refusal, ...]]:
        if not self.with_annotations:
            return [], ()
        parsed: ImageAnnotations = parse_annotations(self._source.read_annotation_bytes(image_id))
        refusals = tuple(Refusal(image_id, reason, "annotation") for reason in parsed.refused)
        annotations = parsed.annotations
        if self.filter_by_area is not None:
            low, high = self.filter_by_area
            annotations = [annotation for annotation in annotations if low <= annotation.area <= high]
            if not annotations:
                raise _NothingLeft(f"no annotation has an area from {low} to {high} pixels")
        return annotations, refusals


@dataclass(frozen=True)
class _Shown:
    """What a sample shows, with prompts in pixels of the frame: the part of the picture (height, width) it shows."""

    image: Tensor
    frame: tuple[int, int]
    annotations: list[Annotation]
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    masks: Tensor | None = None


def collate(samples: Sequence[Sample]) -> Batch:
    """Join samples of one data set into a batch; images are padded with zeros to its squares."""
    images, sizes = pad_images([sample.image for sample in samples], samples[0].side)
    counts = torch.tensor([len(sample.boxes) for sample in samples])
    embeddings = [sample.teacher_embedding for sample in samples if sample.teacher_embedding is not None]
    masks = [sample.masks for sample in samples if sample.masks is not None]
    for found, name in ((embeddings, "a teacher embedding"), (masks, "masks")):
        if len(found) not in (0, len(samples)):
            raise ValueError(f"some samples have {name} and some have none")
    return Batch(
        image_ids=[sample.image_id for sample in samples],
        images=images,
        sizes=sizes,
        boxes=torch.cat([sample.boxes for sample in samples]),
        points=torch.cat([sample.points for sample in samples]),
        noise=torch.cat([sample.noise for sample in samples]),
        image_index=torch.repeat_interleave(torch.arange(len(samples)), counts),
        refusals=[refusal for sample in samples for refusal in sample.refusals],
        teacher_embedding=torch.stack(embeddings) if embeddings else None,
        masks=torch.cat(masks) if masks else None,
    )


class _NothingLeft(BrokenSample):
    """No annotation of a sound image is of a size that is wanted."""
