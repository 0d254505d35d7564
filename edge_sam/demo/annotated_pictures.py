"""A picture with its masks, refused where training and evaluation refuse it."""

import numpy as np
from numpy.typing import NDArray

from edge_sam.data.annotations import Annotation, expect_size, parse_annotations
from edge_sam.data.sources import Source
from edge_sam.data.transforms import decode_image


def read_annotated_picture(source: Source, name: str) -> tuple[NDArray[np.uint8], list[Annotation]]:
    """Return a picture, RGB (H, W, 3), and its usable annotations, at least one.

    Raises:
        BrokenSample: one of both files cannot be read, or they are of different sizes.
    """
    found = parse_annotations(source.read_annotation_bytes(name))
    picture = np.array(decode_image(source.read_image_bytes(name)))
    expect_size(picture.shape[:2], (found.height, found.width))
    return picture, found.annotations
