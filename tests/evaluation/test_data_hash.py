from dataclasses import replace

import numpy as np

from edge_sam.data.annotations import Annotation
from edge_sam.evaluation.data_hash import data_sha256, hash_image

PICTURE = "f" * 64
ANNOTATION = Annotation(
    {"size": [4, 4], "counts": "52010"}, (4, 4), np.array([0, 0, 2, 2.0]), np.array([1.0, 1]), 3.0, 7
)


def test_whatever_changes_a_number_changes_the_hash():
    other = [
        hash_image("b", PICTURE, [ANNOTATION]),
        hash_image("a", "e" * 64, [ANNOTATION]),
        hash_image("a", PICTURE, []),
        hash_image("a", PICTURE, [ANNOTATION, ANNOTATION]),
        hash_image("a", PICTURE, [replace(ANNOTATION, segmentation={"size": [4, 4], "counts": "42110"})]),
        hash_image("a", PICTURE, [replace(ANNOTATION, box_xyxy=np.array([0, 0, 2, 2.5]))]),
        hash_image("a", PICTURE, [replace(ANNOTATION, point=np.array([1.0, 1.5]))]),
        hash_image("a", PICTURE, [replace(ANNOTATION, point=None)]),
        hash_image("a", PICTURE, [replace(ANNOTATION, size=(2, 8))]),
    ]
    assert len({hash_image("a", PICTURE, [ANNOTATION]), *other}) == 10
    as_bytes = replace(ANNOTATION, segmentation={"size": [4, 4], "counts": b"52010"})
    assert hash_image("a", PICTURE, [as_bytes]) == hash_image("a", PICTURE, [ANNOTATION]), (
        "text or bytes is the same mask"
    )


def test_data_is_a_set_of_images():
    one, two = hash_image("a", PICTURE, [ANNOTATION]), hash_image("b", PICTURE, [ANNOTATION])
    assert data_sha256([one, two]) == data_sha256(iter([two, one])) != data_sha256([one])
