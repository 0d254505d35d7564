"""The images that a teacher embeds: decoded and resized in workers, one batch never reaching over two shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.sources import open_source
from edge_sam.data.transforms import decode_image, pad_images, resize_image

PREPROCESSING = "RGB as stored; long side resized, antialiased bilinear uint8; SAM mean and std; zero-padded after; v1"
"""Kept in the store. Change it when :mod:`edge_sam.data.transforms` or the normalisation changes what it answers."""


@dataclass(frozen=True)
class ReadImage:
    """One image, or why there is none.

    Attributes:
        row: its place in the sorted list of ids.
        image: uint8 (3, h, w), or None.
        reason: what is wrong with it, when there is no image.
    """

    row: int
    image: Tensor | None
    reason: str = ""


@dataclass(frozen=True)
class ImageBatch:
    """Some rows, and the images of those that could be read.

    Attributes:
        rows: (n,) row numbers.
        valid: (n,) whether the row has an image.
        images: uint8 (m, 3, s, s), m = number of valid rows, zero outside of ``sizes``.
        sizes: int64 (m, 2), height and width before padding.
        reasons: row -> what is wrong, for the others.
    """

    rows: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    images: Tensor
    sizes: Tensor
    reasons: dict[int, str]

    def pin_memory(self) -> "ImageBatch":
        """Return the batch in page-locked memory; the ``DataLoader`` calls this."""
        return ImageBatch(self.rows, self.valid, self.images.pin_memory(), self.sizes.pin_memory(), self.reasons)


class TeacherImages(Dataset[ReadImage]):
    """The images of a split in the order of their sorted names; annotations are not needed.

    Args:
        root: a folder that :func:`edge_sam.data.sources.open_source` knows.
        split: ``train`` or ``val``.
        image_size: side of the padded square, in pixels.
        num_samples: only the first so many by name; -1 for all.

    Raises:
        EdgeSamError: no such folder, or no image in it.
    """

    def __init__(self, root: str | Path, split: str, image_size: int, num_samples: int = -1) -> None:
        self._source = open_source(root, split, with_annotations=False)
        self.ids = self._source.image_ids if num_samples < 0 else self._source.image_ids[:num_samples]
        self.image_size = image_size

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> ReadImage:
        try:
            picture = decode_image(self._source.read_image_bytes(self.ids[row]))
        except BrokenSample as error:
            return ReadImage(row, None, str(error))
        return ReadImage(row, resize_image(picture, self.image_size))

    def collate(self, images: Sequence[ReadImage]) -> ImageBatch:
        """Join images, padded with zeros to the square."""
        padded, sizes = pad_images([read.image for read in images if read.image is not None], self.image_size)
        return ImageBatch(
            rows=np.array([read.row for read in images]),
            valid=np.array([read.image is not None for read in images]),
            images=padded,
            sizes=sizes,
            reasons={read.row: read.reason for read in images if read.image is None},
        )

    def loader(
        self, groups: Sequence[Sequence[int]], batch_size: int, workers: int, pin: bool
    ) -> DataLoader[ReadImage]:
        """Return a loader of :class:`ImageBatch`: the rows of each group in order, no batch over two groups."""
        batches = [
            list(group[start : start + batch_size]) for group in groups for start in range(0, len(group), batch_size)
        ]
        return DataLoader(
            self, batch_sampler=batches, num_workers=workers, collate_fn=self.collate, pin_memory=pin,
            persistent_workers=False,
        )  # fmt: skip
