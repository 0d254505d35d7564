"""Annotations of COCO, checked as those of SA-1B are; what they lack is made from their masks."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from edge_sam.data.annotations import Annotation, BrokenSample, parse_annotation
from edge_sam.data.coco_instances import Entry
from edge_sam.prompts.first_points import mask_center_points

CROWD = "is a crowd: not one object"
"""Why a sound annotation can be no single mask."""

_OF_ITS_FILE = frozenset({"image_id", "iscrowd"})
"""Keys of COCO's annotations that say nothing of a mask in its image's own file."""


def parse_single_object(entry: Entry, size: tuple[int, int]) -> tuple[Annotation, NDArray[np.uint8]]:
    """Read an annotation of an image of ``size`` (height, width), whose box may be missing.

    Returns:
        The annotation with the number of its mask's pixels as its area and NaN as its point, and the mask (H, W).

    Raises:
        BrokenSample: a crowd, or the reason why it is no sound annotation.
    """
    if entry.get("iscrowd"):
        raise BrokenSample(CROWD)
    # What COCO does not give is filled in only to have the rest checked.
    filler = {"bbox": [0, 0, size[1], size[0]]} | entry | {"area": 1, "point_coords": [[0, 0]]}
    annotation = parse_annotation(filler, size)
    mask = annotation.decode()
    if not mask.any():
        raise BrokenSample("mask is empty")
    if "bbox" not in entry:
        left, top, width, height = mask_utils.toBbox(mask_utils.encode(mask))
        annotation = replace(annotation, box_xyxy=np.array([left, top, left + width, top + height]))
    return replace(annotation, area=float(np.count_nonzero(mask)), point=np.full(2, np.nan)), mask


def complete_annotation(entry: Entry, size: tuple[int, int]) -> Entry:
    """Return an annotation of an image of ``size`` (height, width) as SA-1B's files give them.

    The area is the number of pixels in the mask, the point its innermost pixel.

    Raises:
        BrokenSample: as :func:`parse_single_object`.
    """
    annotation, mask = parse_single_object(entry, size)
    left, top, right, bottom = annotation.box_xyxy.tolist()
    kept = {key: value for key, value in entry.items() if key not in _OF_ITS_FILE}
    return (
        {"bbox": [left, top, right - left, bottom - top]}
        | kept
        | {
            "area": int(annotation.area),
            "point_coords": mask_center_points([mask]).tolist(),
            "predicted_iou": 1.0,
            "stability_score": 1.0,
            "crop_box": [0.0, 0.0, float(size[1]), float(size[0])],
        }
    )
