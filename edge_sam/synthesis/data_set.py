"""A folder of drawn pictures in SA-1B layout.

Picture i depends on the seed, on i and on the size alone, so a run can stop, go on and be shared among processes.
"""

import io
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError
from edge_sam.progress import show_progress
from edge_sam.prompts.first_points import mask_center_points
from edge_sam.synthesis.scene import Scene, draw_scene

SMALLEST_SIZE, LARGEST_SIZE = 128, 2048
"""Of a picture's longer side, in pixels."""
_FINEST_SEARCH = 64
"""Pixels across in which the innermost point of a mask is searched for."""


@dataclass(frozen=True)
class _Series:
    """Where pictures go and what they depend on."""

    out: Path
    split: str
    seed: int
    size: int

    def paths(self, index: int) -> tuple[Path, Path]:
        """Return the files of a picture: image, annotations."""
        name = f"synth_{self.seed}_{index:06d}"
        return self.out / "images" / self.split / f"{name}.jpg", self.out / "annotations" / self.split / f"{name}.json"


def write_data_set(out: Path, images: int, seed: int, size: int = 512, split: str = "train", workers: int = 1) -> None:
    """Draw pictures 0 to ``images - 1`` of a series; those that are there are kept.

    Args:
        out: folder; gets ``images/<split>`` and ``annotations/<split>``.
        images: how many.
        seed: of the series.
        size: of the longer side, in pixels.
        split: e.g. ``train`` or ``val``.
        workers: processes.

    Raises:
        EdgeSamError: a number out of its range, pictures of this seed in another size or another split, a folder that
            cannot be written.
    """
    _check(images, seed, size, workers)
    series = _Series(out, split, seed, size)
    try:
        _check_splits(series)
        for path in series.paths(0):
            path.parent.mkdir(parents=True, exist_ok=True)
        _check_size(series, images)
        missing = [index for index in range(images) if not all(path.exists() for path in series.paths(index))]
        with show_progress(f"drawing {split}", images) as advance:
            advance(images - len(missing))
            for _ in _run(partial(_write_picture, series), missing, workers):
                advance(1)
    except OSError as error:
        raise EdgeSamError(f"{out}: cannot be written ({error})") from error


def _check(images: int, seed: int, size: int, workers: int) -> None:
    if images < 1:
        raise EdgeSamError(f"--images {images}: at least 1 is needed")
    if seed < 0:
        raise EdgeSamError(f"--seed {seed}: must not be negative")
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise EdgeSamError(f"--size {size}: must be from {SMALLEST_SIZE} to {LARGEST_SIZE} pixels")
    if workers < 1:
        raise EdgeSamError(f"--workers {workers}: at least 1 is needed")


def _check_size(series: _Series, images: int) -> None:
    """Refuse to mix sizes under the same names."""
    for index in range(images):
        path = series.paths(index)[1]
        if path.exists():
            there = _long_side(path)
            if there != series.size:
                raise EdgeSamError(
                    f"{path}: its picture is {there} pixels long, but --size is {series.size}; "
                    "take another folder or that size"
                )
            return


def _check_splits(series: _Series) -> None:
    """Refuse to measure on what was learnt from: a seed gives the same pictures in every split."""
    for path in (series.out / "images").glob(f"*/synth_{series.seed}_*.jpg"):
        if path.parent.name != series.split:
            raise EdgeSamError(
                f"{path.parent}: holds the pictures of --seed {series.seed}; {series.split} needs another seed"
            )


def _long_side(path: Path) -> int:
    """Return the longer side of the picture that an annotation file is about."""
    try:
        image = json.loads(path.read_bytes())["image"]
        return max(int(image["width"]), int(image["height"]))
    except (ValueError, KeyError, TypeError) as error:
        raise EdgeSamError(f"{path}: is no annotation file of a drawn picture; remove it to draw it again") from error


def _run(function: "partial[None]", items: list[int], workers: int) -> Iterator[None]:
    if workers == 1 or len(items) < 2:
        yield from map(function, items)
    else:
        with multiprocessing.get_context("spawn").Pool(min(workers, len(items))) as pool:
            yield from pool.imap_unordered(function, items, chunksize=4)


def _write_picture(series: _Series, index: int) -> None:
    image_path, annotation_path = series.paths(index)
    scene = draw_scene(series.seed, index, series.size)
    buffer = io.BytesIO()
    Image.fromarray(scene.image).save(buffer, "JPEG", quality=scene.quality)
    write_atomically(image_path, buffer.getvalue())
    write_atomically(
        annotation_path, json.dumps(describe(scene, index, image_path.name))
    )  # last: says that both are there


def describe(scene: Scene, index: int, file_name: str) -> dict[str, Any]:
    """Return the content of a scene's annotation file."""
    height, width = scene.image.shape[:2]
    return {
        "image": {"image_id": index, "file_name": file_name, "width": width, "height": height},
        "annotations": [_annotation(number, mask) for number, mask in enumerate(scene.masks)],
    }


def _annotation(number: int, mask: NDArray[np.uint8]) -> dict[str, Any]:
    height, width = mask.shape
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {
        "id": number,
        "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
        "bbox": [int(value) for value in mask_utils.toBbox(rle)],
        "area": int(mask_utils.area(rle)),
        "point_coords": [_inner_point(mask, [int(value) for value in mask_utils.toBbox(rle)])],
        "predicted_iou": 1.0,
        "stability_score": 1.0,
        "crop_box": [0, 0, width, height],
    }


def _inner_point(mask: NDArray[np.uint8], box: list[int]) -> list[int]:
    """Return x and y of a pixel deep inside of a mask; of a large mask only every few pixels are looked at."""
    left, top, width, height = box
    step = max(max(width, height) // _FINEST_SEARCH, 1)
    crop = mask[top : top + height, left : left + width]
    sparse = crop[::step, ::step]
    if not sparse.any():
        sparse, step = crop, 1
    x, y = mask_center_points([sparse])[0]
    return [left + int(x) * step, top + int(y) * step]
