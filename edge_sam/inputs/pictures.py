"""Pictures of any kind as RGB arrays of 8 bits a channel."""

import struct
import zlib
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from edge_sam.errors import EdgeSamError

ChannelOrder = Literal["RGB", "BGR"]

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_EIGHT_BITS = frozenset({"RGB", "L", "P", "1", "RGBA", "LA", "PA", "CMYK", "YCbCr"})
_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})

_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for files that are not whole."""


def read_picture(path: str | Path) -> Image.Image:
    """Read an image file whole.

    Raises:
        EdgeSamError: no such file, a folder, not an image, truncated, or of more pixels than Pillow takes for an honest
            picture.
    """
    path = Path(path)
    if not path.is_file():
        raise EdgeSamError(f"{path}: {'is a folder, not a picture' if path.is_dir() else 'no such file'}")
    try:
        image: Image.Image = Image.open(path)
        image.load()
    except _BROKEN as error:
        raise EdgeSamError(f"{path}: {_told(error)}") from error
    return image


def rgb_pixels(image: NDArray[np.uint8] | Image.Image, image_format: ChannelOrder = "RGB") -> NDArray[np.uint8]:
    """Return a picture as a person sees it.

    Args:
        image: an array, uint8 (H, W, 3); or a PIL image: it is turned upright where its EXIF says how and can be read,
            grey, palette and CMYK become RGB, transparency is dropped, 16 bits of grey become 8.
        image_format: order of an array's channels.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        EdgeSamError: an array of another shape or type, a PIL image of another mode or whose file is not whole, another
            order of channels.
    """
    if image_format not in get_args(ChannelOrder):
        raise EdgeSamError(f"image_format is {image_format!r}; it should be RGB or BGR")
    if isinstance(image, Image.Image):
        return np.array(_eight_bits(_upright(image)))
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        found = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
        raise EdgeSamError(f"an image is a PIL image or an RGB array, uint8 (H, W, 3), not {found}")
    return image if image_format == "RGB" else np.ascontiguousarray(image[..., ::-1])


def read_pixels(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as a person sees it: RGB uint8 (H, W, 3), see :func:`rgb_pixels`.

    Raises:
        EdgeSamError: as :func:`read_picture` and :func:`rgb_pixels`, naming the file.
    """
    image = read_picture(path)
    try:
        return rgb_pixels(image)
    except EdgeSamError as error:
        raise EdgeSamError(f"{path}: {error}") from error


def exif_orientation(image: Image.Image) -> int:
    """Return how EXIF says that a picture was held: 1 upright, 2 to 8 mirrored or turned; 1 where it does not say."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _BROKEN:
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        image.load()  # Pillow may have read no more than the file's head
    except _BROKEN as error:
        raise EdgeSamError(_told(error)) from error
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:  # EXIF that nobody can read does not say how the picture was held
        return image


def _told(error: Exception) -> str:
    return f"image cannot be decoded ({' '.join(str(error).split())[:160]})"


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in _EIGHT_BITS:
        return image.convert("RGB")
    if image.mode not in _SIXTEEN_BITS:
        raise EdgeSamError(f"an image of Pillow's mode {image.mode} has no certain colours: convert it to RGB")
    # Pillow's own conversion would clip at 255.
    deep = np.asarray(image).astype(np.int64)
    if deep.min(initial=0) < 0 or deep.max(initial=0) > 0xFFFF:
        raise EdgeSamError(f"an image of Pillow's mode {image.mode} has values outside of 16 bits: convert it to RGB")
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")


def list_pictures(source: str | Path) -> list[Path]:
    """Return a picture, or those of a folder, sorted by name.

    Raises:
        EdgeSamError: neither file nor folder, or no picture in the folder.
    """
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise EdgeSamError(f"{source}: no such file or folder")
    pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if not pictures:
        raise EdgeSamError(f"{source}: holds no picture ({', '.join(PICTURE_SUFFIXES)})")
    return pictures
