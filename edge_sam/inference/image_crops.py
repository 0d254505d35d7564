"""Where automatic masks are looked for: overlapping crops of a picture, and grids of points in each."""

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge_sam.inference.window import Window


def point_grid(points_per_side: int) -> NDArray[np.float64]:
    """Return the centres (n * n, 2) of n x n equal cells of the unit square, (x, y), row by row."""
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    x, y = np.meshgrid(centres, centres)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def layer_point_grids(points_per_side: int, layers: int, downscale_factor: int) -> list[NDArray[np.float64]]:
    """Return one grid for the whole picture and one for each layer of crops.

    Args:
        points_per_side: of the whole picture.
        layers: of crops.
        downscale_factor: crops of layer i have ``points_per_side / downscale_factor ** i`` points a side.
    """
    return [point_grid(points_per_side // downscale_factor**layer) for layer in range(layers + 1)]


def image_crops(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[tuple[Window, int]]:
    """Return the whole picture and the crops of each layer, 2^i x 2^i in layer i, with their layers.

    Source: Segment Anything, appendix B, "cropping"; the rounding is that of its automatic mask generator.

    Args:
        size: (H, W) of the picture.
        layers: of crops; 0 for the whole picture alone.
        overlap_ratio: crops of the first layer overlap by this share of the picture's shorter side, later ones by as
            much less as there are more of them.
    """
    height, width = size
    crops = [(Window(0, 0, height, width), 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(size) * 2 / count)
        crop_width, crop_height = (math.ceil((overlap * (count - 1) + side) / count) for side in (width, height))
        lefts = [(crop_width - overlap) * number for number in range(count)]
        tops = [(crop_height - overlap) * number for number in range(count)]
        for left, top in product(lefts, tops):
            right, bottom = min(left + crop_width, width), min(top + crop_height, height)
            if left < right and top < bottom:  # a line of pixels cannot be halved
                crops.append((Window(top, left, bottom, right), layer))
    return crops
