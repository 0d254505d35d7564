"""Annotations of COCO, checked as those of SA-1B are; what they lack is made from their masks."""

from dataclasses import replace

import numpy as np
from pycocotools import mask as mask_utils

from edge_sam.data.annotations import Annotation, BrokenSample, parse_annotation
from edge_sam.data.coco_instances import Entry

CROWD = "is a crowd: not one object"
"""Why a sound annotation can be no single mask."""

_OF_ITS_FILE = frozenset({"image_id", "iscrowd"})
"""Keys of COCO's annotations that say nothing of a mask in its image's own file."""


def parse_single_object(entry: Entry, size: tuple[int, int]) -> Annotation:
    """Read an annotation of an image of ``size`` (height, width), whose box may be missing.

    The mask is decoded only where the box is missing.

    Returns:
        The annotation; its area is the number of pixels in the mask. It has no point.

    Raises:
        BrokenSample: a crowd, or the reason why it is no sound annotation.
    """
    if entry.get("iscrowd"):
        raise BrokenSample(CROWD)
    # What COCO does not give is filled in only to have the rest checked.
    filler = {"bbox": [0, 0, size[1], size[0]]} | entry | {"area": 1, "point_coords": [[0, 0]]}
    annotation = parse_annotation(filler, size)
    box = annotation.box_xyxy
    if "bbox" not in entry:
        crop, top, left = annotation.decode_crop()
        box = np.array([left, top, left + crop.shape[1], top + crop.shape[0]], np.float64)
    return replace(annotation, box_xyxy=box, area=float(mask_utils.area(annotation.rle)), point=None)


def complete_annotation(entry: Entry, size: tuple[int, int]) -> Entry:
    """Return an annotation of an image of ``size`` (height, width) as SA-1B's files give them.

    Raises:
        BrokenSample: as :func:`parse_single_object`.
    """
    annotation = parse_single_object(entry, size)
    left, top, right, bottom = annotation.box_xyxy.tolist()
    kept = {key: value for key, value in entry.items() if key not in _OF_ITS_FILE}
    return (
        {"bbox": [left, top, right - left, bottom - top]}
        | kept
        | {
            "area": int(annotation.area),
            "point_coords": [annotation.first_point().tolist()],
            "predicted_iou": 1.0,
            "stability_score": 1.0,
            "crop_box": [0.0, 0.0, float(size[1]), float(size[0])],
        }
    )
