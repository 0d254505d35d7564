"""The pictures that an export is compared and calibrated on: the user's own, or drawn ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError
from edge_sam.inputs.pictures import PICTURE_SUFFIXES, read_pixels
from edge_sam.synthesis.scene import draw_scene


def read_pictures(folder: Path, count: int, say: Callable[[str], None] = print) -> list[NDArray[np.uint8]]:
    """Read pictures of a folder and those below it, spread evenly over their sorted names.

    Hidden ones are left out, and overlays that ``edgesam everything`` drew. In the place of one that cannot be read
    comes the next that can, if there are more than are asked for.

    Args:
        folder: of photographs.
        count: at most.
        say: called with a line for each picture that cannot be read.

    Returns:
        RGB uint8 (H, W, 3) each.

    Raises:
        EdgeSamError: no such folder, or no picture in it that can be read.
    """
    if not folder.is_dir():
        raise EdgeSamError(f"{folder}: no such folder of pictures")
    paths = sorted(path for path in folder.rglob("*") if _is_photograph(path, folder))
    count = min(count, len(paths))
    pictures = []
    for number in range(count):
        for path in paths[number * len(paths) // count : (number + 1) * len(paths) // count]:
            try:
                pictures.append(read_pixels(path))
            except EdgeSamError as error:
                say(f"passed over: {error}")
            else:
                break
    if not pictures:
        which = "that can be read" if paths else f"in it ({', '.join(PICTURE_SUFFIXES)})"
        raise EdgeSamError(f"{folder}: no picture {which}")
    return pictures


def _is_photograph(path: Path, folder: Path) -> bool:
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
        return False
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    is_overlay = path.parent.name == "overlays" and (path.parents[1] / "annotations.json").is_file()
    return not is_hidden and not is_overlay


def draw_pictures(count: int, size: int) -> list[NDArray[np.uint8]]:
    """Draw pictures, RGB uint8 (H, W, 3), whose longer side is ``size``; the same on every machine."""
    return [draw_scene(0, index, size).image for index in range(count)]
