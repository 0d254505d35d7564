"""The pictures that an export is compared and calibrated on: the user's own, or drawn ones."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError
from edge_sam.inputs.pictures import PICTURE_SUFFIXES, read_pixels
from edge_sam.synthesis.scene import draw_scene


def read_pictures(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """Read pictures of a folder and those below it, spread evenly over their sorted names.

    Args:
        folder: of photographs.
        count: at most.

    Returns:
        RGB uint8 (H, W, 3) each.

    Raises:
        EdgeSamError: no such folder, no picture in it, or one that cannot be read.
    """
    if not folder.is_dir():
        raise EdgeSamError(f"{folder}: no such folder of pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if not paths:
        raise EdgeSamError(f"{folder}: no picture in it ({', '.join(PICTURE_SUFFIXES)})")
    count = min(count, len(paths))
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    return [read_pixels(path) for path in chosen]


def draw_pictures(count: int, size: int) -> list[NDArray[np.uint8]]:
    """Draw pictures, RGB uint8 (H, W, 3), whose longer side is ``size``; the same on every machine."""
    return [draw_scene(0, index, size).image for index in range(count)]
