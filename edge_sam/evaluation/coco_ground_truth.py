"""The annotations that scored masks are counted against, by COCO's or LVIS's rules."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_sam.data.annotations import BrokenSample, EmptyMask, annotation_name, parse_annotation
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.coco_instances import CocoImage, Entry
from edge_sam.data.run_length_encoding import compress_runs
from edge_sam.data.sa1b import Refusal
from edge_sam.errors import EdgeSamError

_LVIS_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")


@dataclass(frozen=True)
class GroundTruthMasks:
    """What masks are counted against, in COCO's form.

    Images have their position in the data set + 1 as their id, annotations are numbered from 1 on: an id may be
    text, or 0, which the counting takes for no match.

    Attributes:
        tree: images, annotations and categories.
        objects: annotations that are not crowds.
        crowds: the others.
        empty: image and name of masks without a pixel; they are among the objects, and nothing can match them.
        refusals: annotations whose mask is broken; they are not counted.
        sha256: of each image's name, of all that is counted in it, and of its annotations' boxes.
    """

    tree: dict[str, list[Entry]]
    objects: int
    crowds: int
    empty: tuple[tuple[str, int | str], ...]
    refusals: tuple[Refusal, ...]
    sha256: tuple[str, ...]


def expect_countable(dataset: CocoDataset) -> None:
    """Check what the rules need beyond masks.

    Raises:
        EdgeSamError: no categories, annotations of unknown ones, or no word on what LVIS looked for.
    """
    file, categories = dataset.annotation_file, {category["id"] for category in dataset.categories}
    if not categories:
        raise EdgeSamError(f"{file}: has no categories; AP is a mean over them")
    for image in dataset.images:
        for entry in image.annotations:
            if entry.get("category_id") not in categories:
                raise EdgeSamError(
                    f"{file}: annotation {entry.get('id')!r} is of category {entry.get('category_id')!r}, which is not "
                    "among its categories"
                )
        if dataset.layout.is_lvis and not all(isinstance(image.entry.get(key), list) for key in _LVIS_LISTS):
            raise EdgeSamError(f"{file}: image {image.name} lacks {' or '.join(_LVIS_LISTS)}")
    if dataset.layout.is_lvis and not {one.get("frequency") for one in dataset.categories} <= set("rcf"):
        raise EdgeSamError(f"{file}: a category has no frequency r, c or f")


def categories_looked_for(dataset: CocoDataset, index: int) -> frozenset[int] | None:
    """Return the only categories that LVIS counts in an image; None for COCO, which counts all."""
    if not dataset.layout.is_lvis:
        return None
    image = dataset.images[index]
    return frozenset(image.entry["neg_category_ids"]) | {entry["category_id"] for entry in image.annotations}


def ground_truth_masks(dataset: CocoDataset, indices: Sequence[int]) -> GroundTruthMasks:
    """Prepare the annotations of the images at ``indices``: all whose mask is sound, whatever their box is."""
    images: list[Entry] = []
    annotations: list[Entry] = []
    empty: list[tuple[str, int | str]] = []
    refusals: list[Refusal] = []
    hashes: list[str] = []
    for index in indices:
        image = dataset.images[index]
        own: list[Entry] = []
        for position, entry in enumerate(image.annotations):
            name = annotation_name(entry, position)
            try:
                counted = _counted(entry, image)
            except BrokenSample as error:
                refusals.append(Refusal(image.name, f"annotation {name}: {error}", "annotation"))
                continue
            own.append(counted)
            if not counted["pixels"]:
                empty.append((image.name, name))
        looked_for = {key: image.entry.get(key, []) for key in _LVIS_LISTS}
        images.append({"id": index + 1, "height": image.height, "width": image.width} | looked_for)
        boxes = [entry.get("bbox") for entry in image.annotations]
        hashes.append(hashlib.sha256(json.dumps([image.name, looked_for, own, boxes]).encode()).hexdigest())
        numbered = enumerate(own, start=len(annotations) + 1)
        annotations += [{"id": number, "image_id": index + 1} | entry for number, entry in numbered]
    crowds = sum(entry["iscrowd"] for entry in annotations)
    tree = {"images": images, "annotations": annotations, "categories": dataset.categories}
    objects = len(annotations) - crowds
    return GroundTruthMasks(tree, objects, crowds, tuple(empty), tuple(refusals), tuple(hashes))


def _counted(entry: Entry, image: CocoImage) -> Entry:
    """Return what is counted of an annotation. The area that sizes go by is that of the file, as everybody has it."""
    size = (image.height, image.width)
    stand_in = {"bbox": [0, 0, size[1], size[0]], "area": 1, "point_coords": [[0, 0]]}
    try:
        annotation = parse_annotation({"segmentation": entry.get("segmentation")} | stand_in, size)
        counts, pixels = annotation.rle["counts"], int(np.count_nonzero(annotation.decode_crop()[0]))
    except EmptyMask:
        counts, pixels = compress_runs(np.array([size[0] * size[1]]), size)["counts"], 0
    area: Any = entry.get("area")
    return {
        "segmentation": {"size": list(size), "counts": counts if isinstance(counts, str) else counts.decode()},
        "category_id": entry["category_id"],
        "iscrowd": int(bool(entry.get("iscrowd"))),
        "area": area if type(area) in (int, float) and area >= 0 else pixels,
        "pixels": pixels,
    }
