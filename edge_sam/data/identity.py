"""What tells a data set from another one of the same name, without reading its pictures.

So a picture that is changed to one of as many bytes is not noticed. Numbers themselves stand beside a hash of the
pictures' content (:mod:`edge_sam.evaluation.data_hash`).
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.sources import Source


def source_identity(source: Source, image_ids: Sequence[str]) -> str:
    """Return a SHA-256 of images' names, annotation files and the sizes of their picture files."""
    digest = hashlib.sha256()
    for image_id in image_ids:
        annotations = hashlib.sha256(_or_error(source.read_annotation_bytes, image_id)).hexdigest()
        size = _or_error(lambda name: b"%d" % source.image_bytes(name), image_id)
        digest.update(f"{image_id}\n{annotations}\n".encode() + size + b"\n")
    return digest.hexdigest()


def coco_identity(annotation_file: Path, pictures: Sequence[Path]) -> str:
    """Return a SHA-256 of an instances file and of the names and sizes of those pictures that are used."""
    with annotation_file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    for picture in pictures:
        size = picture.stat().st_size if picture.is_file() else None
        digest.update(f"{picture.name}\n{size}\n".encode())
    return digest.hexdigest()


def _or_error(read: Callable[[str], bytes], name: str) -> bytes:
    """Return what is read, or what keeps it from being read: that, too, decides the numbers."""
    try:
        return read(name)
    except BrokenSample as error:
        return str(error).encode()
