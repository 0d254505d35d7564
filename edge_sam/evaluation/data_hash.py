"""Which pictures and instances a number is of, as one hash."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from edge_sam.data.annotations import Annotation


def hash_image(image_id: str, picture_sha256: str, annotations: Sequence[Annotation]) -> str:
    """Return the SHA-256, in hexadecimal, of an image's name, its picture and its annotations: masks, boxes and points.

    A point that no file gives follows from its mask and does not count.

    Args:
        image_id: the name.
        picture_sha256: of the picture's file: compressed once more, the same photograph gives other numbers.
        annotations: those that are measured.
    """
    digest = hashlib.sha256(f"{image_id}\n{picture_sha256}\n".encode())
    for annotation in annotations:
        counts = annotation.rle["counts"]
        point = () if annotation.point is None else annotation.point
        numbers = np.concatenate([annotation.size, annotation.box_xyxy, point]).astype("<f8")
        digest.update(numbers.tobytes() + (counts.encode() if isinstance(counts, str) else counts) + b"\n")
    return digest.hexdigest()


def data_sha256(images: Iterable[str]) -> str:
    """Return the SHA-256, in hexadecimal, of the hashes of images; their order does not count."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()
