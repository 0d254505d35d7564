"""From the bytes of an image file to the resized uint8 tensor, and coordinates along with it.

Sides become ``int(side * image_size / longest + 0.5)``; padding and normalisation happen later, on the device.
"""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional

from edge_sam.data.annotations import BrokenSample

# What stands for colours of 8 bits. Deeper pictures would be clipped without a word by Pillow's conversion.
_COLOUR_MODES = frozenset({"RGB", "L", "P", "1", "RGBA", "LA", "PA", "CMYK", "YCbCr"})


def decode_image(content: bytes) -> Image.Image:
    """Decode an image file whole, as RGB.

    The orientation that a camera noted (EXIF) is not applied: annotations speak of the pixels as they are stored.

    Raises:
        BrokenSample: not an image, truncated, or not of 8 bits a channel.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError as error:  # whose message is of an address in memory
        raise BrokenSample("image cannot be decoded (not a kind that Pillow can read)") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise BrokenSample(f"image cannot be decoded ({error})") from error
    if image.mode not in _COLOUR_MODES:
        raise BrokenSample(f"image is of Pillow's mode {image.mode}, not of 8 bits a channel")
    return image if image.mode == "RGB" else image.convert("RGB")


def resized_size(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Return (height, width) of the resized image, whose longest side is ``image_size``."""
    scale = image_size / max(height, width)
    return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


def resize_image(image: Image.Image | NDArray[np.uint8], image_size: int) -> Tensor:
    """Resize an RGB image (or an ``(H, W, 3)`` array) so that its longest side is ``image_size``.

    Antialiased bilinear resampling in uint8: within one grey level of resampling in float, and many times faster.

    Returns:
        uint8 ``(3, h, w)``.
    """
    # Height x width x channels in memory, which is the layout that the resampling is fastest in.
    pixels: Tensor = functional.pil_to_tensor(image) if isinstance(image, Image.Image) else _to_tensor(image)
    size = resized_size(pixels.shape[1], pixels.shape[2], image_size)
    resized: Tensor = functional.resize(pixels, list(size), antialias=True)
    return resized.contiguous()


def _to_tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def pad_images(images: Sequence[Tensor], side: int) -> tuple[Tensor, Tensor]:
    """Put images, uint8 (3, h, w) each, into squares, with zeros at the right and at the bottom.

    Returns:
        uint8 (B, 3, ``side``, ``side``), and the sizes (h, w) before padding, int64 (B, 2).
    """
    padded = torch.zeros(len(images), 3, side, side, dtype=torch.uint8)
    for square, image in zip(padded, images, strict=True):
        square[:, : image.shape[1], : image.shape[2]] = image
    return padded, torch.tensor([image.shape[1:] for image in images], dtype=torch.int64).reshape(-1, 2)


def scale_points(
    points: NDArray[np.float64], original_size: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Map points ``(..., 2)`` (x, y) of an image of ``original_size`` (height, width) to one of ``size``."""
    scale: NDArray[np.float64] = np.array([size[1] / original_size[1], size[0] / original_size[0]])
    return points * scale


def scale_boxes(
    boxes: NDArray[np.float64], original_size: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Map boxes ``(..., 4)`` (x, y, x, y) of an image of ``original_size`` (height, width) to one of ``size``."""
    corners = boxes.reshape(*boxes.shape[:-1], 2, 2)
    return scale_points(corners, original_size, size).reshape(boxes.shape)


def jitter_boxes(
    boxes: NDArray[np.float64], share: float, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Move each side of boxes ``(n, 4)`` by up to a share of the box's extent, within a picture of ``size`` (h, w).

    A box that was turned inside out is turned back.
    """
    height, width = size
    extent = (boxes[:, 2:] - boxes[:, :2])[:, [0, 1, 0, 1]]
    moved = boxes + rng.uniform(-share, share, boxes.shape) * extent
    moved = np.clip(moved, 0, [width, height, width, height])
    return np.hstack([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])])
