"""Counting AP: what the interval by image adds to the number itself."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from benchmarks.measurement import Measurement, median_seconds
from edge_sam.data.coco_instances import Entry
from edge_sam.evaluation import coco_scoring
from edge_sam.evaluation.bootstrap import DRAWS, draw_images
from edge_sam.evaluation.coco_ground_truth import GroundTruthMasks
from edge_sam.evaluation.scored_masks import ScoredMasks

SIZE = (48, 64)
CATEGORIES, OBJECTS, MASKS = 80, 7, 60
"""As COCO's val split and a detector's boxes have them: categories; objects and masks an image."""


def measure(images: int = 1000) -> Iterator[Measurement]:
    """Count masks of discs near the objects, once and for all draws."""
    truth, found = _discs(images)

    def count() -> None:
        coco_scoring.average_precision(truth, found, "coco")

    once = draw_images(images)[:1]
    with mock.patch.object(coco_scoring, "draw_images", lambda _: once):
        number = median_seconds(count, repeats=1)
    whole = median_seconds(count, repeats=1, warm_up=0)
    what = f"count AP of {images} images, {MASKS} masks each, {DRAWS} draws of images"
    yield Measurement(what, whole, "s", "one draw", number)


def _discs(images: int) -> tuple[GroundTruthMasks, list[ScoredMasks]]:
    """Draw objects, and masks of which half lie near one of them."""
    rng = np.random.default_rng(0)
    tree: dict[str, list[Entry]] = {"images": [], "annotations": [], "categories": []}
    tree["categories"] = [{"id": number + 1, "name": str(number)} for number in range(CATEGORIES)]
    found = []
    for index in range(images):
        tree["images"].append({"id": index + 1, "height": SIZE[0], "width": SIZE[1]})
        circles = rng.uniform((0, 0, 4), (*SIZE, 16), (OBJECTS, 3))
        labels = rng.integers(1, CATEGORIES + 1, OBJECTS)
        for circle, label in zip(circles, labels.tolist(), strict=True):
            rle = _encode(circle)
            tree["annotations"].append(
                {
                    "id": len(tree["annotations"]) + 1, "image_id": index + 1, "category_id": label, "iscrowd": 0,
                    "area": int(mask_utils.area(rle)), "segmentation": rle,
                }
            )  # fmt: skip
        near = rng.integers(0, OBJECTS, MASKS)
        moved = circles[near] + rng.normal(0, 1, (MASKS, 3)) * rng.choice([1, 8], (MASKS, 1))
        counts = [_encode(circle)["counts"] for circle in moved]
        found.append(ScoredMasks(index, SIZE, counts, rng.random(MASKS), labels[near]))
    return GroundTruthMasks(tree, images * OBJECTS, 0, (), (), ()), found


def _encode(circle: NDArray[np.float64]) -> dict[str, Any]:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    inside = (rows - circle[0]) ** 2 + (columns - circle[1]) ** 2 < max(circle[2], 2) ** 2
    rle = mask_utils.encode(np.asfortranarray(inside, dtype=np.uint8))
    return {"size": list(SIZE), "counts": rle["counts"].decode()}
