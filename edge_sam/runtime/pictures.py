"""Pictures on their way into a graph: resized, normalised, padded."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def resized_size(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Return (height, width) of the resized picture, whose longest side is ``image_size``."""
    scale = image_size / max(height, width)
    return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


def normalised_square(pixels: NDArray[np.uint8], image_size: int) -> NDArray[np.float32]:
    """Return what an encoder takes: resized, normalised, then padded with zeros at the right and at the bottom.

    Args:
        pixels: RGB uint8 (H, W, 3).
        image_size: side of the square.

    Returns:
        float32 (1, 3, image_size, image_size).
    """
    height, width = resized_size(pixels.shape[0], pixels.shape[1], image_size)
    resized = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    square = np.zeros((1, 3, image_size, image_size), np.float32)
    normalised = (resized - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_STD, np.float32)
    square[0, :, :height, :width] = normalised.transpose(2, 0, 1)
    return square
