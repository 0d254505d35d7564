"""COCO's instances files, and LVIS's: images and the entries of each, as they stand there."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edge_sam.data.tars import IMAGE_SUFFIXES
from edge_sam.errors import EdgeSamError

Entry = dict[str, Any]
"""One image or annotation of the file; all of its keys."""


@dataclass
class CocoImage:
    """One image and its annotations.

    Attributes:
        entry: of the list of images.
        path: of the picture, below the folder of images.
        width: in pixels.
        height: in pixels.
        annotations: their entries, in the order of the file, unchecked.
    """

    entry: Entry
    path: PurePosixPath
    width: int
    height: int
    annotations: list[Entry] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The image's name without its ending."""
        return self.path.stem


@dataclass(frozen=True)
class CocoInstances:
    """What an instances file holds.

    Attributes:
        images: sorted by name.
        categories: their entries, each with an ``id`` of its own; none where the file has no list of them.
    """

    images: list[CocoImage]
    categories: list[Entry]


def file_name(entry: Entry) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return where COCO says that an image's picture lies."""
    return entry.get("file_name")


def read_coco(file: Path, picture_of: Callable[[Entry], Any] = file_name) -> CocoInstances:
    """Read an instances file.

    Args:
        file: COCO's JSON.
        picture_of: gives the path of an image's picture, below the folder of images, by its entry.

    Raises:
        EdgeSamError: no such file, not of COCO's form, an annotation of an unknown image, two images of one name.
    """
    try:
        tree = json.loads(file.read_bytes())
    except OSError as error:
        raise EdgeSamError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise EdgeSamError(f"{file}: is not JSON ({error})") from error
    images, annotations = (_entries(file, tree, key) for key in ("images", "annotations"))
    if any("segments_info" in entry for entry in annotations):
        raise EdgeSamError(f"{file}: is a COCO panoptic file; an instances file is needed")
    if not images or not annotations:
        raise EdgeSamError(f"{file}: holds {len(images)} images and {len(annotations)} annotations; both are needed")
    by_id = _images_by_id(file, images, picture_of)
    unknown = [entry for entry in annotations if _key(entry.get("image_id")) not in by_id]
    if unknown:
        raise EdgeSamError(
            f"{file}: {len(unknown)} of {len(annotations)} annotations are of images that it does not list, e.g. "
            f"annotation {unknown[0].get('id')!r} of image {unknown[0].get('image_id')!r}"
        )
    for entry in annotations:
        by_id[_key(entry["image_id"])].annotations.append(entry)
    return CocoInstances(sorted(by_id.values(), key=lambda image: image.name), _categories(file, tree))


def _entries(file: Path, tree: Any, key: str) -> list[Entry]:  # noqa: ANN401 - whatever the file holds
    entries = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise EdgeSamError(f'{file}: is no COCO instances file: it has no list of "{key}"')
    return entries


def _categories(file: Path, tree: Entry) -> list[Entry]:
    categories = _entries(file, tree, "categories") if "categories" in tree else []
    ids = [entry.get("id") for entry in categories]
    if not all(type(one) is int for one in ids) or len(set(ids)) < len(ids):
        raise EdgeSamError(f"{file}: the ids of its categories are no different whole numbers: {ids}"[:300])
    return categories


def _images_by_id(file: Path, entries: list[Entry], picture_of: Callable[[Entry], Any]) -> dict[str, CocoImage]:
    by_id: dict[str, CocoImage] = {}
    by_name: dict[str, CocoImage] = {}
    for entry in entries:
        image = _image(file, entry, picture_of(entry))
        if by_id.setdefault(_key(entry["id"]), image) is not image:
            raise EdgeSamError(f"{file}: two images have the id {entry['id']!r}")
        other = by_name.setdefault(image.name, image)
        if other is not image:
            raise EdgeSamError(f"{file}: {other.path} and {image.path} would get the same name; rename one of them")
    return by_id


def _image(file: Path, entry: Entry, name: Any) -> CocoImage:  # noqa: ANN401 - whatever the file holds
    width, height = entry.get("width"), entry.get("height")
    if type(width) is not int or type(height) is not int or min(width, height) < 1:
        raise EdgeSamError(f"{file}: image {name!r} has width {width!r} and height {height!r}")
    if type(entry.get("id")) not in (int, str):
        raise EdgeSamError(f"{file}: image {name!r} has the id {entry.get('id')!r}; it should be a number or text")
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    what = f"{file}: the picture of image {entry['id']!r} is {name!r}"
    if path.is_absolute() or ".." in path.parts or path.stem.startswith("."):
        raise EdgeSamError(f"{what}; it should be a path below the folder of images")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise EdgeSamError(f"{what}; it should end in {', '.join(IMAGE_SUFFIXES)}")
    return CocoImage(entry, path, width, height)


def _key(value: Any) -> str:  # noqa: ANN401 - whatever the file holds
    """Return what identifies an image: 7 and "7" are two."""
    return json.dumps(value)
