"""A COCO instances file laid out as SA-1B is: ``images/SPLIT/NAME.jpg`` and ``annotations/SPLIT/NAME.json``.

Masks are kept as they stand in the file, run lengths or polygons. What COCO does not have is made from them: the area
in pixels, and a point, the mask's innermost pixel. A run that was stopped goes on: an annotation file is written after
its picture, and remembers what it was made from. Pictures that EXIF turns are left out: masks may be
of the pixels as they are stored or, as those of ``edgesam everything``, of the upright picture; the file does not say.
"""

import hashlib
import io
import json
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from edge_sam.atomic_writing import write_atomically
from edge_sam.data.annotations import BrokenSample
from edge_sam.data.coco_annotations import CROWD, complete_annotation
from edge_sam.data.coco_instances import CocoImage, Entry, read_coco
from edge_sam.data.picture_placing import place_picture
from edge_sam.data.split_folders import SplitFolders
from edge_sam.data.transforms import decode_image
from edge_sam.errors import EdgeSamError
from edge_sam.inputs.pictures import exif_orientation
from edge_sam.progress import show_progress


@dataclass(frozen=True)
class LeftOut:
    """An annotation, or (``annotation`` None) a whole image, that was not laid out."""

    image: str
    annotation: Any
    reason: str


@dataclass(frozen=True)
class CocoReport:
    """What :func:`prepare_coco` laid out.

    Attributes:
        images: with at least one mask.
        masks: of these images.
        done_before: images that an earlier run had laid out from the same entries.
        left_out: everything else.
        left_out_file: the same as JSON lines.
        of_earlier_files: names of other images of the split that were laid out from a COCO file; they stay.
    """

    images: int
    masks: int
    done_before: int
    left_out: tuple[LeftOut, ...]
    left_out_file: Path
    of_earlier_files: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one line."""
        crowds = sum(entry.reason == CROWD for entry in self.left_out)
        images = sum(entry.annotation is None for entry in self.left_out)
        told = f"{crowds} crowds, {len(self.left_out) - crowds - images} other annotations and {images} images"
        left_out = f"left out: {told} (see {self.left_out_file})" if self.left_out else "nothing left out"
        before = f" ({self.done_before} of them laid out before)" if self.done_before else ""
        others = self.of_earlier_files
        stay = f"; {len(others)} images of earlier files are still there, e.g. {others[0]}" if others else ""
        return f"{self.images} images{before} with {self.masks} masks; {left_out}{stay}"


def prepare_coco(
    annotation_file: str | Path,
    image_folder: str | Path,
    destination: str | Path,
    split: str,
    *,
    copy: bool = False,
    workers: int | None = None,
) -> CocoReport:
    """Lay out a COCO instances file and its pictures under ``destination``, going on where an earlier run stopped.

    Args:
        annotation_file: COCO's JSON.
        image_folder: where its ``file_name`` are found.
        destination: the folder to fill, for ``DATA.DATA_PATH``; made when it is not there.
        split: ``train`` or ``val``.
        copy: copy pictures; by default they are hard links, and copies only where links are not possible.
        workers: threads; by default one a core.

    Raises:
        EdgeSamError: not a COCO instances file, pictures missing, another file of an image's name in the destination,
            not one usable mask, another run at work there.
    """
    annotation_file, image_folder = Path(annotation_file), Path(image_folder)
    if workers is not None and workers < 1:
        raise EdgeSamError(f"number of workers is {workers}; it should be at least 1")
    images = read_coco(annotation_file).images
    missing = [image.path for image in images if not (image_folder / image.path).is_file()]
    if missing:
        raise EdgeSamError(
            f"{image_folder}: lacks {len(missing)} of the {len(images)} pictures that {annotation_file} lists, "
            f"e.g. {missing[0]}"
        )
    layout = _Layout(SplitFolders.under(Path(destination), split), image_folder, copy)
    try:
        with layout.folders.claimed():
            done = layout.place_all(images, f"prepare {split}", workers or os.cpu_count() or 1)
            report = layout.report(done, layout.of_earlier_files({image.name for image in images}))
    except OSError as error:
        raise EdgeSamError(f"{error.filename or destination}: {error.strerror}") from error
    if not report.images:
        raise EdgeSamError(f"{annotation_file}: not one usable mask; {report.left_out_file} says why")
    return report


@dataclass(frozen=True)
class _Placed:
    """What became of one image."""

    masks: int
    left_out: tuple[LeftOut, ...]
    done_before: bool = False


@dataclass(frozen=True)
class _Layout:
    """Where pictures come from and go to."""

    folders: SplitFolders
    image_folder: Path
    copy: bool

    def place_all(self, images: list[CocoImage], what: str, workers: int) -> list[_Placed]:
        """Place every image, showing how far it is."""
        with show_progress(what, len(images)) as progress, ThreadPoolExecutor(workers) as threads:
            jobs = [threads.submit(self._place, image) for image in images]
            placed = []
            try:
                for job in jobs:
                    placed.append(job.result())
                    progress(1)
            finally:
                threads.shutdown(cancel_futures=True)
        return placed

    def of_earlier_files(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the images in the split that were laid out from a COCO file, but for those of ``names``."""
        others = (file for file in self.folders.annotations.glob("*.json") if file.stem not in names)
        return tuple(sorted(file.stem for file in others if _is_of_coco(file)))

    def report(self, placed: list[_Placed], of_earlier_files: tuple[str, ...]) -> CocoReport:
        """Sum up, and write what was left out."""
        left_out = tuple(entry for image in placed for entry in image.left_out)
        file = self.folders.notes / "left_out.jsonl"
        write_atomically(file, "".join(f"{json.dumps(asdict(entry))}\n" for entry in left_out))
        return CocoReport(
            images=sum(image.masks > 0 for image in placed),
            masks=sum(image.masks for image in placed),
            done_before=sum(image.done_before for image in placed),
            left_out=left_out,
            left_out_file=file,
            of_earlier_files=of_earlier_files,
        )

    def _place(self, image: CocoImage) -> _Placed:
        """Lay out one image with its usable masks, the annotation file last."""
        file = self.folders.annotations / f"{image.name}.json"
        digest = _digest(image)
        before = _read_earlier(file, digest)
        if before is not None and (self.folders.images / image.path.name).is_file():
            return before
        content = (self.image_folder / image.path).read_bytes()
        annotations, left_out = _usable(image, content)
        if not annotations:
            file.unlink(missing_ok=True)
            return _Placed(0, left_out)
        source, target = self.image_folder / image.path, self.folders.images / image.path.name
        place_picture(source, target, content, self.copy)
        about = {key: value for key, value in image.entry.items() if key != "id"}
        about |= {"image_id": image.entry["id"], "file_name": image.path.name}
        tree = {
            "image": about,
            "annotations": annotations,
            "left_out": [asdict(entry) for entry in left_out],
            "made_from": digest,
        }
        write_atomically(file, json.dumps(tree))
        return _Placed(len(annotations), left_out)


def _digest(image: CocoImage) -> str:
    """Identify what an annotation file is made from."""
    return hashlib.sha256(json.dumps([image.entry, image.annotations], sort_keys=True).encode()).hexdigest()


def _read_earlier(file: Path, digest: str) -> _Placed | None:
    """Return what an earlier run laid out from the same entries, or None where there is no such thing."""
    if not file.exists():
        return None
    try:
        tree = json.loads(file.read_bytes())
        placed = _Placed(len(tree["annotations"]), tuple(LeftOut(**entry) for entry in tree["left_out"]), True)
        return placed if tree["made_from"] == digest else None
    except (ValueError, KeyError, TypeError) as error:
        raise EdgeSamError(
            f"{file}: is there already, and was not made from a COCO file; fill another folder"
        ) from error


def _is_of_coco(file: Path) -> bool:
    """Tell whether an annotation file was laid out from a COCO file; SA-1B's own are not."""
    try:
        return "made_from" in json.loads(file.read_bytes())
    except (ValueError, TypeError):
        return False


def _usable(image: CocoImage, picture: bytes) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    """Return what can be laid out of an image's annotations, and the rest; of a broken picture nothing can."""
    size = (image.height, image.width)
    try:
        width, height = decode_image(picture).size
        if (height, width) != size:
            raise BrokenSample(f"picture is {width} x {height} pixels, its entry speaks of {size[1]} x {size[0]}")
        _expect_upright(picture)
    except BrokenSample as error:
        return [], (LeftOut(image.name, None, str(error)),)
    annotations: list[Entry] = []
    left_out: list[LeftOut] = []
    for position, entry in enumerate(image.annotations):
        try:
            annotations.append(complete_annotation(entry, size))
        except BrokenSample as error:
            left_out.append(LeftOut(image.name, entry.get("id", f"at position {position}"), str(error)))
    if not annotations:
        left_out.append(LeftOut(image.name, None, "has no usable annotation"))
    return annotations, tuple(left_out)


def _expect_upright(picture: bytes) -> None:
    """Refuse a picture that is shown otherwise than it is stored: masks are of one of the two."""
    with Image.open(io.BytesIO(picture)) as image:
        orientation = exif_orientation(image)
    if orientation != 1:
        raise BrokenSample(
            f"picture has EXIF orientation {orientation}, and masks may be of the pixels as stored or as shown: save "
            "it upright, as its masks are, without that tag"
        )
