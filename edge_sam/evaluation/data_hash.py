"""Which instances a number is of, as one hash."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from edge_sam.data.annotations import Annotation


def hash_image(image_id: str, annotations: Sequence[Annotation]) -> str:
    """Return the SHA-256, in hexadecimal, of an image's name, its size and its annotations: masks, boxes and points.

    A point that no file gives follows from its mask and does not count.
    """
    digest = hashlib.sha256(image_id.encode())
    for annotation in annotations:
        counts = annotation.rle["counts"]
        point = () if annotation.point is None else annotation.point
        numbers = np.concatenate([annotation.size, annotation.box_xyxy, point]).astype("<f8")
        digest.update(numbers.tobytes() + (counts.encode() if isinstance(counts, str) else counts) + b"\n")
    return digest.hexdigest()


def data_sha256(images: Iterable[str]) -> str:
    """Return the SHA-256, in hexadecimal, of the hashes of images; their order does not count."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()
