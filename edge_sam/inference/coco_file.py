"""Found masks as an instances file of COCO: what pycocotools, CVAT, FiftyOne and `edgesam prepare coco` read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from edge_sam.data.run_length_encoding import compress_runs, encode_crop

_CATEGORY = {"id": 1, "name": "object", "supercategory": "object"}


@dataclass(frozen=True)
class MaskedPicture:
    """A picture and the masks that were found in it.

    Attributes:
        file_name: of the picture.
        size: (H, W).
        masks: for each mask ``segmentation``, COCO's run lengths, and whatever else is known of it: its ``id``, too,
            where it shall have another number than the next one.
    """

    file_name: str
    size: tuple[int, int]
    masks: Sequence[Mapping[str, Any]]


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask (H, W) as COCO's compressed run lengths, which JSON can hold."""
    size = (mask.shape[0], mask.shape[1])
    return compress_runs(encode_crop(mask, 0, 0, size), size)


def coco_file(pictures: Sequence[MaskedPicture]) -> dict[str, Any]:
    """Return the content of the file; area and box (XYWH, in whole pixels) are made from the masks.

    Masks without a pixel are no annotations. Numbers of images and annotations begin at 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.size
        images.append({"id": number, "file_name": picture.file_name, "width": width, "height": height})
        for mask in picture.masks:
            area = int(mask_utils.area(mask["segmentation"]))
            if area:
                box = mask_utils.toBbox(mask["segmentation"]).tolist()
                made = {"area": area, "bbox": box, "iscrowd": 0, "category_id": 1}
                annotations.append({"id": len(annotations) + 1, "image_id": number, **mask, **made})
    return {"images": images, "annotations": annotations, "categories": [_CATEGORY]}
