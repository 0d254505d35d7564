"""Average precision of scored masks by COCO's or LVIS's rules, counted by faster-coco-eval; and its interval.

Categories are counted one after another: what the counting needs beside the masks themselves is that of one category.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from edge_sam.data.coco_instances import Entry
from edge_sam.evaluation.ap_interval import MeansOverCategories, weighted_precision
from edge_sam.evaluation.ap_matches import CategoryMatches, ImageOfCategory, match_category
from edge_sam.evaluation.ap_protocol import COCO_MASKS_A_CATEGORY, LVIS_MASKS_AN_IMAGE, Style
from edge_sam.evaluation.bootstrap import Interval, draw_images, interval_around
from edge_sam.evaluation.coco_ground_truth import GroundTruthMasks
from edge_sam.evaluation.scored_masks import ScoredMasks

_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_NAMES_OF: dict[Style, tuple[str, ...]] = {"coco": _NAMES, "lvis": (*_NAMES, "APr", "APc", "APf")}


@dataclass(frozen=True)
class AveragePrecision:
    """The outcome of a count.

    Attributes:
        numbers: AP, AP50, AP75, APs, APm, APl, for LVIS by how often categories are seen in training, too (APr, APc,
            APf); each in [0, 1]; None where there is no such object.
        intervals: the 95 % interval of each by drawing images again, see :mod:`edge_sam.evaluation.ap_interval`; draws
            without such an object are passed over.
        drawn: the mean of the draws. Fewer different images make AP higher, so it lies above the number, the more so
            the fewer objects a category has; the interval is moved by as much.
    """

    numbers: dict[str, float | None]
    intervals: dict[str, Interval | None]
    drawn: dict[str, float | None]


def average_precision(
    truth: GroundTruthMasks, found: Sequence[ScoredMasks], style: Style, *, boundary: bool = False
) -> AveragePrecision:
    """Count scored masks.

    Args:
        truth: of the images that count.
        found: in those images, in their order.
        style: whose rules.
        boundary: by the smaller of mask IoU and boundary IoU.
    """
    times = draw_images(len(truth.tree["images"]))
    exact, drawn = (MeansOverCategories(_NAMES_OF[style], rows) for rows in (1, len(times)))
    for category in _categories(truth, found, style):
        precision, matches = category.count(boundary)
        exact.add(precision[None], category.entry.get("frequency"))
        drawn.add(weighted_precision(matches, times), category.entry.get("frequency"))
    numbers = {name: None if np.isnan(value) else float(value) for name, (value,) in exact.numbers().items()}
    draws = {name: values[~np.isnan(values)] for name, values in drawn.numbers().items()}
    return AveragePrecision(
        numbers,
        {
            name: None if value is None or not len(draws[name]) else interval_around(value, draws[name])
            for name, value in numbers.items()
        },
        {name: float(values.mean()) if len(values) else None for name, values in draws.items()},
    )


@dataclass(frozen=True)
class _Category:
    """One category that is annotated somewhere: its G annotations and the D masks found of it.

    Attributes:
        entry: of the file.
        is_lvis: whose rules.
        images: entries of all images.
        annotations: of the category.
        annotated: int64 (G,) position of each annotation's image, ascending.
        masks: D masks in pycocotools' form.
        scores: float64 (D,).
        found: int64 (D,) position of each mask's image, ascending.
    """

    entry: Entry
    is_lvis: bool
    images: list[Entry]
    annotations: list[Entry]
    annotated: NDArray[np.int64]
    masks: list[dict[str, Any]]
    scores: NDArray[np.float64]
    found: NDArray[np.int64]

    @property
    def limit(self) -> int:
        """How many masks of an image count."""
        return LVIS_MASKS_AN_IMAGE if self.is_lvis else COCO_MASKS_A_CATEGORY

    def count(self, boundary: bool) -> tuple[NDArray[np.float64], CategoryMatches]:
        """Return faster-coco-eval's average precision float64 (A, T), NaN where no object is; and the matches."""
        name = self.entry["id"]
        results = [
            {"image_id": self.images[position]["id"], "category_id": name, "score": score, "segmentation": mask}
            for position, score, mask in zip(self.found.tolist(), self.scores.tolist(), self.masks, strict=True)
        ]
        concerned = np.union1d(self.annotated, self.found).tolist()
        tree = {
            "images": [self.images[position] for position in concerned],
            "annotations": [dict(entry) for entry in self.annotations],
            "categories": [self.entry],
        }
        annotated = COCO(tree)
        iou_type = "boundary" if boundary else "segm"
        evaluator = COCOeval_faster(annotated, annotated.loadRes(results), iou_type, lvis_style=self.is_lvis)
        evaluator.params.maxDets = [self.limit]
        evaluator.evaluate()
        evaluator.accumulate()
        precision = evaluator.eval["precision"][:, :, 0, :, -1].mean(axis=1).T
        iou = [evaluator.ious[self.images[position]["id"], name] for position in concerned]
        return np.where(precision < 0, np.nan, precision), self._match(concerned, iou)

    def _match(self, concerned: list[int], iou: list[Any]) -> CategoryMatches:
        """Match masks in the images at these positions, given the IoU (D, G) of each, empty where D or G is 0."""
        sizes = np.asarray(mask_utils.area(self.masks), dtype=np.int64)
        areas = np.array([entry["area"] for entry in self.annotations], dtype=np.float64)
        crowd = np.array([entry["iscrowd"] for entry in self.annotations], dtype=bool)
        images = []
        for position, own_iou in zip(concerned, iou, strict=True):
            masks, objects = (
                np.arange(*np.searchsorted(where, [position, position + 1])) for where in (self.found, self.annotated)
            )
            masks = masks[np.argsort(-self.scores[masks], kind="stable")[: self.limit]]
            unsure = self.is_lvis and self.entry["id"] in self.images[position]["not_exhaustive_category_ids"]
            images.append(
                ImageOfCategory(
                    image=position,
                    scores=self.scores[masks],
                    mask_areas=sizes[masks],
                    iou=np.asarray(own_iou) if len(own_iou) else None,
                    areas=areas[objects],
                    crowd=crowd[objects],
                    exhaustive=not unsure,
                )
            )
        return match_category(images, len(self.images))


def _categories(truth: GroundTruthMasks, found: Sequence[ScoredMasks], style: Style) -> Iterator[_Category]:
    """Part annotations and masks by category; a category that is annotated nowhere has no average precision."""
    images = truth.tree["images"]
    position_of = {image["id"]: position for position, image in enumerate(images)}
    annotations: dict[int, list[Entry]] = {}
    for entry in truth.tree["annotations"]:
        annotations.setdefault(entry["category_id"], []).append(entry)
    categories = np.concatenate([np.zeros(0, dtype=np.int64), *(one.categories for one in found)])
    position = np.repeat([position_of[one.index + 1] for one in found], [len(one) for one in found]).astype(np.int64)
    owner = np.repeat(np.arange(len(found)), [len(one) for one in found])
    number = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(len(one)) for one in found)])
    order = np.argsort(categories, kind="stable")
    for entry in truth.tree["categories"]:
        own = annotations.get(entry["id"])
        if own is None:
            continue
        annotated = np.array([position_of[one["image_id"]] for one in own], dtype=np.int64)
        chosen = order[slice(*np.searchsorted(categories, [entry["id"], entry["id"] + 1], sorter=order))]
        if style == "lvis":
            negative = [place for place, image in enumerate(images) if entry["id"] in image["neg_category_ids"]]
            chosen = chosen[np.isin(position[chosen], np.union1d(annotated, negative))]
        pairs = [
            (found[one], place) for one, place in zip(owner[chosen].tolist(), number[chosen].tolist(), strict=True)
        ]
        yield _Category(
            entry=entry,
            is_lvis=style == "lvis",
            images=images,
            annotations=own,
            annotated=annotated,
            masks=[one.mask(place) for one, place in pairs],
            scores=np.array([one.scores[place] for one, place in pairs], dtype=np.float64),
            found=position[chosen],
        )
