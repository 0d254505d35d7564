"""A folder of photographs laid out as SA-1B is, with automatic masks: ready to distil on.

An annotation file is written after its picture and remembers what it was made with, so that a run that was stopped goes
on, and one with another model or other settings makes all of them anew. Masks are of the pixels as they are stored, as
everywhere in training: what EXIF says of their orientation is not applied.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_sam.atomic_writing import write_atomically
from edge_sam.data.annotations import BrokenSample, parse_annotation
from edge_sam.data.picture_placing import place_picture
from edge_sam.data.split_folders import SplitFolders
from edge_sam.data.tars import IMAGE_SUFFIXES
from edge_sam.data.transforms import decode_image
from edge_sam.errors import EdgeSamError
from edge_sam.inference.automatic_masks import MORE_MASKS, SamAutomaticMaskGenerator
from edge_sam.progress import show_progress


@dataclass(frozen=True)
class LeftOut:
    """A photograph that was not laid out, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class LabelReport:
    """What :func:`label_photographs` laid out.

    Attributes:
        images: with at least one mask.
        masks: of these images.
        done_before: images that an earlier run had labelled in the same way.
        left_out: the others.
        left_out_file: the same as JSON lines.
    """

    images: int
    masks: int
    done_before: int
    left_out: Sequence[LeftOut]
    left_out_file: Path

    def describe(self) -> str:
        """Say it in one line."""
        before = f" ({self.done_before} of them labelled before)" if self.done_before else ""
        left_out = f"{len(self.left_out)} left out (see {self.left_out_file})" if self.left_out else "none left out"
        return f"{self.images} images{before} with {self.masks} masks; {left_out}"


def label_photographs(
    generator: SamAutomaticMaskGenerator,
    made_by: Mapping[str, Any],
    source: Path,
    destination: Path,
    split: str,
    *,
    copy: bool = False,
) -> LabelReport:
    """Label the photographs of a folder, going on where an earlier run stopped.

    Args:
        generator: with masks as ``coco_rle``.
        made_by: what decides about the masks: model and settings, as JSON can hold them.
        source: the folder; folders in it are not looked into.
        destination: the folder to fill, for ``DATA.DATA_PATH``; made when it is not there.
        split: ``train`` or ``val``.
        copy: copy photographs; by default they are hard links, and copies only where links are not possible.

    Raises:
        EdgeSamError: no photographs, two of one name, a file in the destination that is of something else, not one
            mask, another run at work there.
    """
    photographs = _photographs(source)
    layout = _Layout(SplitFolders.under(destination, split), generator, made_by, copy)
    try:
        with layout.folders.claimed(), show_progress(f"label {split}", len(photographs)) as progress:
            placed = []
            for photograph in photographs:
                placed.append(layout.place(photograph))
                progress(1)
            report = layout.report(placed)
    except OSError as error:
        raise EdgeSamError(f"{error.filename or destination}: {error.strerror or error}") from error
    if not report.images:
        reason, _ = Counter(photograph.reason for photograph in report.left_out).most_common(1)[0]
        raise EdgeSamError(f"{source}: not one mask in its photographs ({reason}); see {report.left_out_file}")
    return report


def _photographs(source: Path) -> list[Path]:
    if not source.is_dir():
        raise EdgeSamError(f"{source}: {'is a file, not a folder' if source.exists() else 'no such folder'}")
    photographs = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not photographs:
        raise EdgeSamError(f"{source}: holds no photograph ({', '.join(IMAGE_SUFFIXES)})")
    by_stem: dict[str, Path] = {}
    for path in photographs:
        other = by_stem.setdefault(path.stem, path)
        if other is not path:
            raise EdgeSamError(f"{source}: {other.name} and {path.name} would share one annotation file; rename one")
    return photographs


@dataclass(frozen=True)
class _Placed:
    """What became of one photograph; no mask where it was left out."""

    masks: int
    left_out: LeftOut | None = None
    done_before: bool = False


@dataclass(frozen=True)
class _Layout:
    folders: SplitFolders
    generator: SamAutomaticMaskGenerator
    made_by: Mapping[str, Any]
    copy: bool

    def place(self, photograph: Path) -> _Placed:
        """Lay out one photograph with its masks, the annotation file last."""
        content = photograph.read_bytes()
        file = self.folders.annotations / f"{photograph.stem}.json"
        made_by = {**self.made_by, "image_sha256": hashlib.sha256(content).hexdigest()}
        masks = _earlier_masks(file, made_by)
        if masks is not None and (self.folders.images / photograph.name).is_file():
            return _Placed(masks, done_before=True)
        try:
            tree = self._label(photograph, content)
        except BrokenSample as error:
            file.unlink(missing_ok=True)
            return _Placed(0, LeftOut(photograph.name, str(error)))
        place_picture(photograph, self.folders.images / photograph.name, content, self.copy)
        write_atomically(file, json.dumps({**tree, "made_by": made_by}))
        return _Placed(len(tree["annotations"]))

    def report(self, placed: Sequence[_Placed]) -> LabelReport:
        """Sum up, and write what was left out."""
        left_out = [image.left_out for image in placed if image.left_out is not None]
        file = self.folders.notes / "left_out.jsonl"
        write_atomically(file, "".join(f"{json.dumps(asdict(entry))}\n" for entry in left_out))
        return LabelReport(
            images=sum(image.masks > 0 for image in placed),
            masks=sum(image.masks for image in placed),
            done_before=sum(image.done_before for image in placed),
            left_out=left_out,
            left_out_file=file,
        )

    def _label(self, photograph: Path, content: bytes) -> dict[str, Any]:
        pixels = np.asarray(decode_image(content))
        height, width = pixels.shape[:2]
        annotations: list[dict[str, Any]] = []
        for record in self.generator.generate(pixels):
            try:
                parse_annotation(record, (height, width))
            except BrokenSample:  # one pixel wide, so that its box has no area in SA-1B's way of counting
                continue
            annotations.append({"id": len(annotations) + 1, **record})
        if not annotations:
            raise BrokenSample(f"no mask was found: {MORE_MASKS}")
        image = {"image_id": photograph.stem, "width": width, "height": height, "file_name": photograph.name}
        return {"image": image, "annotations": annotations}


def _earlier_masks(file: Path, made_by: Mapping[str, Any]) -> int | None:
    """Return how many masks an earlier run found in the same way, or None where there is no such thing."""
    if not file.exists():
        return None
    try:
        tree = json.loads(file.read_bytes())
        number, earlier = len(tree["annotations"]), tree["made_by"]
    except (ValueError, KeyError, TypeError) as error:
        raise EdgeSamError(f"{file}: is there already, and holds no automatic masks; fill another folder") from error
    return number if earlier == made_by and number else None
