"""Boxes to ask for masks: a detector's, from a file in COCO's results format, or those of the annotations."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Refusal
from edge_sam.errors import EdgeSamError

_STRAYED = 0.05
"""With a larger share of boxes whose middle is out of the picture, they are not what they are taken for."""


@dataclass(frozen=True)
class ImageBoxes:
    """The n boxes of an image.

    Attributes:
        boxes: float64 (n, 4) XYXY, in pixels of the file.
        scores: float64 (n,).
        categories: int64 (n,), ids.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    categories: NDArray[np.int64]

    def __len__(self) -> int:
        """Return n."""
        return len(self.boxes)

    def strayed(self, size: tuple[int, int]) -> NDArray[np.int64]:
        """Return the numbers of those boxes whose middle is out of their picture of ``size`` (H, W)."""
        return np.flatnonzero(_strayed(self.boxes, np.array(size[::-1])))


class BoxSource(Protocol):
    """Where boxes come from.

    Attributes:
        name: whose they are, in words.
        unused: which of them are of images that are not to be measured: the image's id and how many.
    """

    name: str
    unused: tuple[tuple[int | str, int], ...]

    def of(self, index: int) -> tuple[ImageBoxes, tuple[Refusal, ...]]:
        """Return the boxes of an image of the data set, and what is wrong with others."""

    def unused_without(self, measured: Collection[int]) -> tuple[tuple[int | str, int], ...]:
        """Return ``unused``, and the same of the data set's images but for ``measured``; the others were unreadable."""


class AnnotatedBoxes:
    """The boxes of the annotations that are single objects, each with the score 1."""

    name = "ground truth"
    unused: tuple[tuple[int | str, int], ...] = ()

    def __init__(self, dataset: CocoDataset) -> None:
        self._dataset = dataset

    def of(self, index: int) -> tuple[ImageBoxes, tuple[Refusal, ...]]:
        """Return the boxes of an image, and which annotations are broken."""
        objects, refusals = self._dataset.single_objects(index)
        boxes = ImageBoxes(
            np.array([annotation.box_xyxy for annotation, _ in objects]).reshape(-1, 4),
            np.ones(len(objects)),
            np.array([entry["category_id"] for _, entry in objects], dtype=np.int64),
        )
        return boxes, refusals

    def unused_without(self, measured: Collection[int]) -> tuple[tuple[int | str, int], ...]:
        """Return none: the annotations of an unreadable image leave with it."""
        return self.unused


class DetectedBoxes:
    """The boxes of a detector, best scored first; equally scored ones in the order of the file.

    Args:
        file: COCO's results format: a list of ``{"image_id", "category_id", "bbox": [x, y, width, height], "score"}``;
            other keys do not count.
        dataset: what the boxes are of. Boxes of images of its file that it does not use are left out and counted.

    Raises:
        EdgeSamError: not such a file, images or categories that the data set does not know, boxes or scores that are
            none, many boxes outside of their pictures, no box of the images used.
    """

    def __init__(self, file: Path, dataset: CocoDataset) -> None:
        entries, sha256 = _read(file)
        self.name = f"{file.name} (sha256 {sha256[:12]})"
        self._ids: list[int | str] = [image.entry["id"] for image in dataset.images]
        index_of = {image_id: index for index, image_id in enumerate(self._ids)}
        _expect_known(file, entries, "image_id", dataset.image_numbers, dataset.annotation_file)
        categories = {category["id"] for category in dataset.categories}
        _expect_known(file, entries, "category_id", categories, dataset.annotation_file)
        numbers = _numbers(file, entries)
        index = np.array([index_of.get(entry["image_id"], -1) for entry in entries], dtype=np.int64)
        unused = Counter(entry["image_id"] for entry in entries if entry["image_id"] not in index_of)
        self.unused = tuple(sorted(unused.items(), key=lambda item: str(item[0])))
        if not (index >= 0).any():
            raise EdgeSamError(f"{file}: no box of the {len(dataset)} images that are used")
        numbers[:, 2:4] += numbers[:, :2]
        _expect_inside(file, numbers[index >= 0], index[index >= 0], dataset)
        # Sorted by image, then from the best score on; what is equal keeps its order.
        order = np.lexsort((-numbers[:, 4], index))
        self._starts = np.searchsorted(index[order], np.arange(len(dataset) + 1))
        self._numbers = numbers[order]
        self._categories = np.array([entry["category_id"] for entry in entries], dtype=np.int64)[order]

    def of(self, index: int) -> tuple[ImageBoxes, tuple[Refusal, ...]]:
        """Return the boxes of an image; none is ever broken."""
        own = slice(self._starts[index], self._starts[index + 1])
        return ImageBoxes(self._numbers[own, :4], self._numbers[own, 4], self._categories[own]), ()

    def unused_without(self, measured: Collection[int]) -> tuple[tuple[int | str, int], ...]:
        """Return the boxes of all images but for ``measured``: the image's id and how many."""
        counts = np.diff(self._starts).tolist()
        unread = [(self._ids[i], count) for i, count in enumerate(counts) if count and i not in measured]
        return tuple(sorted((*self.unused, *unread), key=lambda item: str(item[0])))


def _read(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the entries of a file and its SHA-256."""
    try:
        content = file.read_bytes()
        entries = json.loads(content)
    except OSError as error:
        raise EdgeSamError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise EdgeSamError(f"{file}: is not JSON ({error})") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise EdgeSamError(f"{file}: is not of COCO's results format, a list of boxes that is not empty")
    return entries, hashlib.sha256(content).hexdigest()


def _expect_known(
    file: Path, entries: list[dict[str, Any]], key: str, known: frozenset[Any] | set[Any], annotation_file: Path
) -> None:
    given = [entry.get(key) for entry in entries]
    strangers = [value for value in given if type(value) not in (int, str) or value not in known]
    if strangers:
        raise EdgeSamError(
            f"{file}: {len(strangers)} of {len(entries)} boxes have a {key} that {annotation_file} does not know, "
            f"e.g. {strangers[0]!r} (there: {', '.join(map(repr, sorted(known, key=str)[:5]))} ...): "
            "results of another data set?"
        )


def _numbers(file: Path, entries: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return (n, 5): x, y, width, height, score."""
    numbers = np.full((len(entries), 5), np.nan)
    for row, entry in zip(numbers, entries, strict=True):
        box, score = entry.get("bbox"), entry.get("score")
        if isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in (*box, score)):
            row[:] = *box, score
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:4] < 0).any(axis=1)
    if bad.any():
        entry = entries[int(bad.argmax())]
        raise EdgeSamError(
            f"{file}: {int(bad.sum())} of {len(entries)} boxes are not four numbers x, y, width, height with a score, "
            f"e.g. {entry.get('bbox')!r} with score {entry.get('score')!r} of image {entry['image_id']!r}"
        )
    return numbers


def _expect_inside(file: Path, numbers: NDArray[np.float64], index: NDArray[np.int64], dataset: CocoDataset) -> None:
    sizes = np.array([(image.width, image.height) for image in dataset.images])[index]
    strayed = _strayed(numbers[:, :4], sizes)
    if strayed.mean() > _STRAYED:
        first = int(strayed.argmax())
        left, top, right, bottom = numbers[first, :4].tolist()
        raise EdgeSamError(
            f"{file}: the middle of {int(strayed.sum())} of {len(strayed)} boxes is out of their pictures, e.g. "
            f"{[left, top, right - left, bottom - top]} in {sizes[first][0]} x {sizes[first][1]} pixels of image "
            f"{dataset.ids[index[first]]}; bbox should be x, y, width, height in pixels of the picture's file"
        )


def _strayed(boxes: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return bool (n,) for boxes (n, 4) XYXY and sizes (n, 2) or (2,), width and height: the middle is out of there."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    strayed: NDArray[np.bool_] = np.any((middle < 0) | (middle > sizes), axis=1)
    return strayed
