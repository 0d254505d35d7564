"""The user's own pictures, looked at before work begins on them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_sam.data.annotations import BrokenSample, parse_annotations
from edge_sam.data.sources import Source, open_source
from edge_sam.errors import EdgeSamError


@dataclass(frozen=True)
class Checked:
    """What was found in a split.

    Attributes:
        usable: images with a usable mask.
        sha256: of their names and annotations.
    """

    usable: int
    sha256: str


def check_data(root: Path, split: str, images: int, at_least: int) -> Checked:
    """Insist that the first images of a split can be worked with; pictures are not decoded yet.

    Args:
        root: folder in SA-1B layout, or of SA-1B's tars.
        split: ``train`` or ``val``.
        images: the first so many by name are looked at.
        at_least: so many of them must have a usable mask.

    Raises:
        EdgeSamError: no such folder or split, no image, no annotation, or too few that are usable.
    """
    if (root / "images").is_dir() and not (root / "images" / split).is_dir():
        raise EdgeSamError(
            f"{root / 'images' / split}: no such folder: the demo learns from a train split and measures on a val split"
        )
    source = open_source(root, split)
    first = set(source.image_ids[:images])
    names = [name for name in source.ids if name in first]
    digest = hashlib.sha256()
    problems = []
    for name in names:
        try:
            content = source.read_annotation_bytes(name)
            parse_annotations(content)
        except BrokenSample as error:
            problems.append(f"{name}: {error}")
            continue
        digest.update(f"{name} {len(content)} ".encode() + content)
    usable = len(names) - len(problems)
    if usable < at_least:
        raise EdgeSamError(_too_few(root, split, source, usable, at_least, problems))
    return Checked(usable, digest.hexdigest())


def _too_few(root: Path, split: str, source: Source, usable: int, at_least: int, problems: list[str]) -> str:
    without = len(source.image_ids) - len(source.ids)
    reasons = [f"{without} have no annotation file"] * bool(without) + problems[:1]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"{root}: {usable} usable images in the {split} split{because}; the demo needs at least {at_least}"
