"""Where images and annotations come from: a folder of SA-1B's layout, or a folder of SA-1B's tars."""

import os
from pathlib import Path
from typing import Protocol

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.tars import ANNOTATION_SUFFIX, IMAGE_SUFFIXES, Member, index_tar, read_member
from edge_sam.errors import EdgeSamError

PUBLISHED_SUBSET: dict[str, tuple[str, ...]] = {
    "train": tuple(f"sa_{number:06d}.tar" for number in range(20, 30)),
    "val": ("sa_000130.tar",),
}
"""The tars that EdgeSAM is trained and validated on (paper, section 4.1: 1 % of SA-1B)."""


class Source(Protocol):
    """Images by id, each with its annotation file.

    Attributes:
        image_ids: sorted; the names of all images without their endings.
        ids: those of them that have an annotation file; all where none is needed.
        pictureless_ids: sorted; annotation files that have no image.
    """

    image_ids: tuple[str, ...]
    ids: tuple[str, ...]
    pictureless_ids: tuple[str, ...]

    def read_image_bytes(self, image_id: str) -> bytes:
        """Return the image file's content. Raises BrokenSample when it cannot be read."""

    def read_annotation_bytes(self, image_id: str) -> bytes:
        """Return the annotation file's content. Raises BrokenSample when it cannot be read."""

    def image_bytes(self, image_id: str) -> int:
        """Return the size of the image file, which is not read. Raises BrokenSample when it is not there."""


def open_source(root: str | Path, split: str, with_annotations: bool = True, tar_list: Path | None = None) -> Source:
    """Open a folder of either kind.

    ``root/images/SPLIT`` makes it SA-1B's layout. Otherwise tars are looked for: all of ``root/SPLIT/*.tar``; or, of
    the tars in ``root`` itself, those named one a line in ``tar_list``, in ``root/sa_SPLIT_subset.txt``, or else those
    of the published subset.

    Raises:
        EdgeSamError: no such folder, nothing of both kinds in it, a named tar missing, no image with an annotation.
    """
    root = Path(root)
    if not root.is_dir():
        raise EdgeSamError(
            f"{root}: no such folder; it should hold images/{split}/ and annotations/{split}/, or SA-1B's tars "
            "(fill it by `edgesam prepare sa1b` or `edgesam prepare coco`, or name another folder)"
        )
    if (root / "images").is_dir():
        return FolderSource(root, split, with_annotations)
    return TarSource(find_tars(root, split, tar_list), with_annotations)


class FolderSource:
    """``root/images/SPLIT/NAME.jpg`` with ``root/annotations/SPLIT/NAME.json``."""

    def __init__(self, root: Path, split: str, with_annotations: bool = True) -> None:
        self._image_folder = root / "images" / split
        self._annotation_folder = root / "annotations" / split
        images = _names_by_stem(self._image_folder, IMAGE_SUFFIXES)
        if with_annotations and not self._annotation_folder.is_dir():
            raise EdgeSamError(
                f"{self._annotation_folder}: no such folder; it should hold the masks, a NAME.json in SA-1B's format "
                f"for each NAME.jpg of {self._image_folder} (`edgesam prepare coco` makes them of a COCO file)"
            )
        annotations = _names_by_stem(self._annotation_folder, (ANNOTATION_SUFFIX,)) if with_annotations else images
        if not images:
            raise EdgeSamError(f"{self._image_folder}: holds no image ({', '.join(IMAGE_SUFFIXES)})")
        self._image_names = {stem: name for stem, name in images.items() if stem in annotations}
        self._annotation_names = annotations
        if not self._image_names:
            found = f"e.g. {min(annotations.values())}" if annotations else "which holds no annotation file"
            raise EdgeSamError(
                f"{self._image_folder}: no image (e.g. {min(images.values())}) has an annotation file of the same name "
                f"in {self._annotation_folder} ({found})"
            )
        self.image_ids = tuple(sorted(images))
        self.ids = tuple(sorted(self._image_names))
        self.pictureless_ids = tuple(sorted(annotations.keys() - images.keys()))

    def read_image_bytes(self, image_id: str) -> bytes:
        """Return the image file's content. Raises BrokenSample when it cannot be read."""
        return read_file(self._image_folder / self._image_names[image_id])

    def read_annotation_bytes(self, image_id: str) -> bytes:
        """Return the annotation file's content. Raises BrokenSample when it cannot be read."""
        return read_file(self._annotation_folder / self._annotation_names[image_id])

    def image_bytes(self, image_id: str) -> int:
        """Return the size of the image file, which is not read. Raises BrokenSample when it is not there."""
        path = self._image_folder / self._image_names[image_id]
        try:
            return path.stat().st_size
        except OSError as error:
            raise BrokenSample(f"{path.name} cannot be read ({error.strerror})") from error


class TarSource:
    """Members of tars, read in place."""

    def __init__(self, tars: list[Path], with_annotations: bool = True, cache_folder: Path | None = None) -> None:
        self._images: dict[str, tuple[Path, Member]] = {}
        self._annotations: dict[str, tuple[Path, Member]] = {}
        for tar in tars:
            for member in index_tar(tar, cache_folder).members:
                place = self._annotations if member.is_annotation else self._images
                other_tar, other = place.setdefault(member.stem, (tar, member))
                if other is not member:
                    raise EdgeSamError(
                        f"{member.stem} is there twice: {other.name} of {other_tar}, {member.name} of {tar}"
                    )
        wanted = self._images.keys() & self._annotations.keys() if with_annotations else self._images.keys()
        if not wanted:
            raise EdgeSamError(f"{tars[0].parent}: no image with an annotation in {len(tars)} tars")
        self.image_ids = tuple(sorted(self._images))
        self.ids = tuple(sorted(wanted))
        self.pictureless_ids = tuple(sorted(self._annotations.keys() - self._images.keys() if with_annotations else ()))

    def read_image_bytes(self, image_id: str) -> bytes:
        """Return the image's content. Raises BrokenSample when it cannot be read."""
        return read_member(*self._images[image_id])

    def read_annotation_bytes(self, image_id: str) -> bytes:
        """Return the annotation's content. Raises BrokenSample when it cannot be read."""
        return read_member(*self._annotations[image_id])

    def image_bytes(self, image_id: str) -> int:
        """Return the size of the image."""
        return self._images[image_id][1].size


def find_tars(root: Path, split: str, tar_list: Path | None = None) -> list[Path]:
    """Return the tars of a split, sorted by name, as :func:`open_source` describes."""
    if (root / split).is_dir() and tar_list is None:
        tars = sorted((root / split).glob("*.tar"))
        if not tars:
            raise EdgeSamError(f"{root / split}: holds no tar")
        return tars
    beside = root / f"sa_{split}_subset.txt"
    if not any(root.glob("*.tar")):
        raise EdgeSamError(f"{root}: holds neither images/{split}/ nor tars; name the folder that does")
    if tar_list is None and beside.is_file():
        tar_list = beside
    names = read_name_list(tar_list) if tar_list is not None else PUBLISHED_SUBSET.get(split, ())
    missing = [name for name in names if not (root / name).is_file()]
    if missing or not names:
        raise EdgeSamError(
            f"{root}: {len(missing)} of the {len(names)} tars of the {split} split are missing (e.g. "
            f"{', '.join(missing[:3])}); to use others, name them one a line in {beside}, or put them in {root / split}"
        )
    return sorted(root / name for name in set(names))


def read_name_list(path: Path) -> list[str]:
    """Read names, one a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        EdgeSamError: no such file, nothing in it, or a name that is a path.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeSamError(f"{path}: cannot be read as a list of names ({error})") from error
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise EdgeSamError(f"{path}: names nothing; it should hold one file name a line, such as sa_000020.tar")
    for name in names:
        if Path(name).name != name:
            raise EdgeSamError(f"{path}: {name!r} is not a plain file name")
    return names


def _names_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 - a Path for each of a million names is slow
                if suffix.lower() in suffixes and not stem.startswith("."):
                    other = names.setdefault(stem, entry.name)
                    if other != entry.name:
                        raise EdgeSamError(f"{folder}: {other} and {entry.name} are of one name; remove one of them")
    except OSError as error:
        raise EdgeSamError(f"{folder}: cannot be listed ({error.strerror})") from error
    return names


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises BrokenSample when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenSample(f"{path.name} cannot be read ({error.strerror})") from error
