"""The user's own pictures, looked at before work begins on them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.sources import Source, open_source
from edge_sam.demo.annotated_pictures import read_annotated_picture
from edge_sam.errors import EdgeSamError
from edge_sam.progress import show_progress
from edge_sam.settings import DataSettings

_NAMED = 5
"""So many of the images that are wrong are named."""


@dataclass(frozen=True)
class Checked:
    """What was found in a split.

    Attributes:
        pictures: SHA-256 of the picture's file, by name, of the images with a usable mask.
        sha256: of these images' names, pictures and annotations, and of the names of the others.
    """

    pictures: dict[str, str]
    sha256: str


def check_data(root: Path, split: str, images: int, at_least: int) -> Checked:
    """Insist that the first images of a split can be worked with; every one is decoded.

    Args:
        root: folder in SA-1B layout, or of SA-1B's tars.
        split: ``train`` or ``val``.
        images: the first so many by name are looked at.
        at_least: so many of them must have a usable mask.

    Raises:
        EdgeSamError: no such folder or split, no image, no annotation, too few that are usable, or more broken ones
            than training and evaluation bear.
    """
    if (root / "images").is_dir() and not (root / "images" / split).is_dir():
        raise EdgeSamError(
            f"{root / 'images' / split}: no such folder: the demo learns from a train split and measures on a val split"
        )
    source = open_source(root, split)
    first = set(source.image_ids[:images])
    names = [name for name in source.ids if name in first]
    pictures: dict[str, str] = {}
    problems: list[str] = []
    digest = hashlib.sha256()
    with show_progress(f"looking at {split}", len(names)) as advance:
        for name in names:
            try:
                pictures[name], annotations = _sound_hashes(source, name)
                digest.update(f"{name} {pictures[name]} {annotations}\n".encode())
            except BrokenSample as error:
                problems.append(f"{name}: {error}")
                digest.update(f"{name} is broken\n".encode())
            advance(1)
    if len(pictures) < at_least:
        raise EdgeSamError(_too_few(root, split, source, len(pictures), at_least, problems))
    if len(problems) > DataSettings().MAX_BAD_SHARE * len(names):
        raise EdgeSamError(
            f"{root}: {len(problems)} of {len(names)} images of the {split} split are broken, more than "
            f"{DataSettings().MAX_BAD_SHARE:.0%}: mend or remove {_listed(problems)}"
        )
    return Checked(pictures, digest.hexdigest())


def expect_unseen(root: Path, train: Checked, val: Checked) -> None:
    """Insist that no picture that is learnt from is measured on.

    Args:
        root: the folder, for the error.
        train: what was found in the one split.
        val: and in the other.

    Raises:
        EdgeSamError: the very same picture is in both.
    """
    learnt = {picture: name for name, picture in train.pictures.items()}
    both = {name: learnt[picture] for name, picture in val.pictures.items() if picture in learnt}
    if both:
        listed = _listed([f"{name} of val is {of_train} of train" for name, of_train in both.items()])
        raise EdgeSamError(
            f"{root}: {len(both)} of {len(val.pictures)} images to measure on are learnt from, too; give val pictures "
            f"that train has not: {listed}"
        )


def _sound_hashes(source: Source, name: str) -> tuple[str, str]:
    """Return the SHA-256 of a picture's file and of its annotation file. Raises BrokenSample where one is wrong."""
    read_annotated_picture(source, name)
    picture, annotations = source.read_image_bytes(name), source.read_annotation_bytes(name)
    return hashlib.sha256(picture).hexdigest(), hashlib.sha256(annotations).hexdigest()


def _listed(lines: list[str]) -> str:
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return "; ".join(lines[:_NAMED]) + more


def _too_few(root: Path, split: str, source: Source, usable: int, at_least: int, problems: list[str]) -> str:
    without = len(source.image_ids) - len(source.ids)
    reasons = [f"{without} have no annotation file"] * bool(without) + problems[:1]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"{root}: {usable} usable images in the {split} split{because}; the demo needs at least {at_least}"
