"""One annotation file of SA-1B: the masks of one image, with their boxes and points.

No mask is made while reading; what is wrong is found from sizes and run lengths.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from edge_sam.data.run_length import compressed_totals, decode_crop, uncompressed_totals
from edge_sam.errors import EdgeSamError
from edge_sam.prompts.first_points import mask_center_points

_TOLERANCE = 1.0
"""Pixels that a box or a polygon may reach over the edge of the picture; a box is clipped to it."""

_LARGEST = 1e12
"""Numbers beyond this are no coordinates, sizes or areas."""


class BrokenSample(EdgeSamError):  # noqa: N818 - the name is what was found
    """An image or annotation whose content is wrong. The message is the reason; the caller knows the name."""


class EmptyMask(BrokenSample):
    """An annotation that is sound but for its mask, which has no pixel."""


@dataclass(frozen=True)
class Annotation:
    """One mask of an image; coordinates in pixels of the image as stored.

    Attributes:
        segmentation: as in the file: ``{"size": [h, w], "counts": text or list}``, or a list of polygons.
        size: (height, width) of the image.
        box_xyxy: ``(4,)`` left, top, right, bottom.
        point: ``(2,)`` x, y, as the file says; None where it gives none, as COCO's do.
        area: pixels, as the file says.
        name: what it is called in reports, see :func:`annotation_name`.
    """

    segmentation: dict[str, Any] | list[list[float]]
    size: tuple[int, int]
    box_xyxy: NDArray[np.float64]
    point: NDArray[np.float64] | None
    area: float
    name: int | str = "at position 0"

    @cached_property
    def rle(self) -> dict[str, Any]:
        """The mask as compressed run lengths, in the form of pycocotools."""
        height, width = self.size
        if isinstance(self.segmentation, list):
            return dict(mask_utils.merge(mask_utils.frPyObjects(self.segmentation, height, width)))
        if isinstance(self.segmentation["counts"], list):
            return dict(mask_utils.frPyObjects(self.segmentation, height, width))
        return self.segmentation

    def decode(self) -> NDArray[np.uint8]:
        """Return the mask, ``(height, width)``, 0 or 1."""
        mask: NDArray[np.uint8] = mask_utils.decode(self.rle)
        return mask

    def decode_crop(self) -> tuple[NDArray[np.uint8], int, int]:
        """Return the part of the mask that is not empty, much faster than the whole of a large picture.

        Returns:
            See :func:`edge_sam.data.run_length.decode_crop`.
        """
        return decode_crop(self.rle["counts"], self.size[0])

    def first_point(self) -> NDArray[np.float64]:
        """Return ``(2,)`` x, y: the file's point, or where it gives none the innermost pixel of the mask.

        Raises:
            ValueError: neither a point nor a pixel.
        """
        if self.point is not None:
            return self.point
        crop, top, left = self.decode_crop()
        point: NDArray[np.float64] = mask_center_points([crop])[0] + (left, top)
        return point


@dataclass(frozen=True)
class ImageAnnotations:
    """The sound annotations of an image, in the order of the file.

    Attributes:
        width: of the image, in pixels.
        height: of the image, in pixels.
        file_name: ``image.file_name`` of the file; empty when there is none.
        annotations: at least one.
        refused: a reason for each annotation that was left out, naming it.
    """

    width: int
    height: int
    file_name: str
    annotations: list[Annotation]
    refused: list[str]


def parse_annotations(content: bytes) -> ImageAnnotations:
    """Read the content of an annotation file; single annotations that are wrong are left out and told.

    Raises:
        BrokenSample: not JSON, not of SA-1B's form, or no sound annotation.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BrokenSample(f"annotation file is not JSON ({error})") from error
    image = tree.get("image") if isinstance(tree, dict) else None
    entries = tree.get("annotations") if isinstance(tree, dict) else None
    if not isinstance(image, dict) or not isinstance(entries, list):
        raise BrokenSample('annotation file holds no "image" and list of "annotations"')
    height, width = image.get("height"), image.get("width")
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise BrokenSample(f"annotation file gives height {height!r} and width {width!r} of the image")
    if not entries:
        raise BrokenSample("annotation file has an empty list of annotations")
    annotations, refused = _sound_annotations(entries, (height, width))
    if not annotations:
        raise BrokenSample(f"none of the {len(refused)} annotations is usable; the first: {refused[0]}")
    return ImageAnnotations(
        width=width,
        height=height,
        file_name=str(image.get("file_name", "")),
        annotations=annotations,
        refused=refused,
    )


def expect_size(found: tuple[int, int], annotated: tuple[int, int]) -> None:
    """Insist that a picture is of the size that its annotation file gives; both are (height, width).

    Raises:
        BrokenSample: it is not.
    """
    if found != annotated:
        raise BrokenSample(
            f"image is {found[1]} x {found[0]} pixels, its annotation file speaks of {annotated[1]} x {annotated[0]}"
        )


def _sound_annotations(entries: list[Any], size: tuple[int, int]) -> tuple[list[Annotation], list[str]]:
    totals = compressed_totals([_compressed_text(entry) for entry in entries])
    annotations, refused = [], []
    for index, entry in enumerate(entries):
        try:
            annotations.append(_annotation(entry, size, int(totals.pixels[index]), int(totals.area[index]), index))
        except BrokenSample as error:
            refused.append(f"annotation {annotation_name(entry, index)}: {error}")
    return annotations, refused


def annotation_name(entry: Any, position: int) -> int | str:  # noqa: ANN401 - whatever the file holds
    """Return by what an entry is found again: its ``id``, or where it has none its place among those of its image."""
    name = entry.get("id") if isinstance(entry, dict) else None
    # True is no id.
    return name if isinstance(name, int | str) and not isinstance(name, bool) else f"at position {position}"


def parse_annotation(entry: Any, size: tuple[int, int]) -> Annotation:  # noqa: ANN401 - whatever the file holds
    """Read one entry of the list of annotations of an image of ``size`` (height, width).

    Raises:
        BrokenSample: what is wrong with it.
    """
    totals = compressed_totals([_compressed_text(entry)])
    return _annotation(entry, size, int(totals.pixels[0]), int(totals.area[0]))


def _compressed_text(entry: Any) -> bytes:  # noqa: ANN401 - whatever the file holds
    """Return the compressed run lengths of an annotation, or nothing where it has none."""
    segmentation = entry.get("segmentation") if isinstance(entry, dict) else None
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    return counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else b""


def _annotation(entry: Any, size: tuple[int, int], pixels: int, mask_area: int, position: int = 0) -> Annotation:  # noqa: ANN401
    if not isinstance(entry, dict):
        raise BrokenSample("is not a mapping")
    segmentation: Any = entry.get("segmentation")
    if isinstance(segmentation, list):
        _check_polygons(segmentation, size)
    else:
        _check_run_lengths(segmentation, size, pixels, mask_area)
    area: Any = entry.get("area")
    if not _is_number(area) or area <= 0:
        raise BrokenSample(f"area is {area!r}, not a positive number")
    annotation = Annotation(
        segmentation=segmentation,
        size=size,
        box_xyxy=_box(entry.get("bbox"), size),
        point=_point(entry.get("point_coords"), size),
        area=float(area),
        name=annotation_name(entry, position),
    )
    if isinstance(segmentation, list) and not mask_utils.area(annotation.rle):  # its run lengths are kept for later
        raise EmptyMask("mask is empty")
    return annotation


def _check_run_lengths(segmentation: Any, size: tuple[int, int], pixels: int, mask_area: int) -> None:  # noqa: ANN401
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("counts"), str | list):
        raise BrokenSample("segmentation is neither run lengths nor polygons")
    if segmentation.get("size") != list(size):
        raise BrokenSample(f"run lengths are of size {segmentation.get('size')!r}, the image of {list(size)}")
    if isinstance(segmentation["counts"], list):
        pixels, mask_area = uncompressed_totals(segmentation["counts"])
    if pixels < 0:
        raise BrokenSample("run lengths are malformed")
    if pixels != size[0] * size[1]:
        raise BrokenSample(f"run lengths cover {pixels} pixels, the image has {size[0] * size[1]}")
    if mask_area == 0:
        raise EmptyMask("mask is empty")


def _check_polygons(polygons: list[Any], size: tuple[int, int]) -> None:
    if not polygons:
        raise BrokenSample("segmentation has no polygon")
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(_is_number, polygon)):
            raise BrokenSample("a polygon is not a list of at least three x, y pairs")
        for values, side in ((polygon[0::2], size[1]), (polygon[1::2], size[0])):
            if min(values) < -_TOLERANCE or max(values) > side + _TOLERANCE:
                raise BrokenSample(f"a polygon reaches out of the picture of {size[1]} x {size[0]}")


def _box(value: Any, size: tuple[int, int]) -> NDArray[np.float64]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise BrokenSample(f"bbox is {value!r}, not four numbers x, y, width, height")
    left, top, width, height = value
    right, bottom = left + width, top + height
    if min(left, top) < -_TOLERANCE or right > size[1] + _TOLERANCE or bottom > size[0] + _TOLERANCE:
        raise BrokenSample(f"bbox {value} is outside of the picture of {size[1]} x {size[0]}")
    box = (max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0]))
    if box[2] <= box[0] or box[3] <= box[1]:
        raise BrokenSample(f"bbox {value} has no area")
    return np.array(box, np.float64)


def _point(value: Any, size: tuple[int, int]) -> NDArray[np.float64]:  # noqa: ANN401
    """SA-1B gives a list of one point; of a longer list the first is taken."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, list) or len(first) != 2 or not all(map(_is_number, first)):
        raise BrokenSample(f"point_coords is {value!r}, not [[x, y]]")
    if not (0 <= first[0] <= size[1] and 0 <= first[1] <= size[0]):
        raise BrokenSample(f"point {first} is outside of the picture of {size[1]} x {size[0]}")
    return np.array(first, np.float64)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST  # false for NaN
