"""Other views of a picture: cropped, mirrored, smaller, with other colours.

A view moves pixels; what lies in the picture (masks, boxes, points) is moved along by
:mod:`edge_sam.data.visible_masks`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edge_sam.data.transforms import resize_image, resized_size
from edge_sam.errors import EdgeSamError

_STRETCH = 1.15
"""A crop's aspect is the picture's, times or divided by at most the square of this."""

_LUMA = np.array([0.299, 0.587, 0.114])
"""Brightness of red, green and blue (ITU-R BT.601)."""

_TINT = 0.25
"""How much weaker a single channel's gain is drawn than that of all."""


@dataclass(frozen=True)
class View:
    """A rectangle of a picture, mirrored or not, resized.

    Attributes:
        left: of the rectangle, in pixels of the picture; so are ``top``, ``width`` and ``height``.
        top: of the rectangle.
        width: of the rectangle.
        height: of the rectangle.
        size: (h, w) that the rectangle is resized to, in input pixels.
        mirrored: left and right are exchanged.
    """

    left: int
    top: int
    width: int
    height: int
    size: tuple[int, int]
    mirrored: bool = False

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels a pixel of the picture, down and across."""
        return self.size[0] / self.height, self.size[1] / self.width

    def shows_all_of(self, size: tuple[int, int]) -> bool:
        """Whether nothing of a picture of ``size`` (height, width) is cut off."""
        return (self.height, self.width) == size

    def of(self, picture: Image.Image) -> Tensor:
        """Return the view of an RGB picture: uint8 ``(3, h, w)``."""
        rectangle = picture.crop((self.left, self.top, self.left + self.width, self.top + self.height))
        image = resize_image(rectangle, max(self.size))
        return image.flip(-1) if self.mirrored else image


@dataclass(frozen=True)
class Augmentation:
    """What is changed in the images of a data set, and how much. The defaults change nothing.

    Attributes:
        flip: share of images that are mirrored, left to right.
        crop: lowest and highest share of the picture's width and height that is shown; drawn uniformly, the aspect
            a little stretched. (1, 1) shows all.
        scale: lowest and highest longest side of the result, as a share of the input's.
        color: strength of the changes of brightness, contrast and saturation, each a factor drawn from
            1 - ``color`` to 1 + ``color``, and of a tint, a quarter of that for each channel.
        gray: share of images that lose their colour.

    Raises:
        EdgeSamError: a number outside of [0, 1], or a range upside down.
    """

    flip: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    scale: tuple[float, float] = (1.0, 1.0)
    color: float = 0.0
    gray: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("flip", "color", "gray"):
            if not 0 <= getattr(self, name) <= 1:
                raise EdgeSamError(f"augmentation: {name} is {getattr(self, name)}; it should be from 0 to 1")
        for name in ("crop", "scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise EdgeSamError(
                    f"augmentation: {name} is from {low} to {high}; both should be above 0 and at most 1"
                )

    def draw_views(
        self, size: tuple[int, int], image_size: int, rng: np.random.Generator, crops: int
    ) -> tuple[View, ...]:
        """Draw ``crops`` views of a picture of ``size`` (height, width), and one more that shows all of it.

        They are mirrored alike, and their longest side is the same, at most ``image_size``.
        """
        mirrored = bool(rng.random() < self.flip)
        longest = max(int(image_size * rng.uniform(*self.scale) + 0.5), 1)
        rectangles = [] if self.crop == (1.0, 1.0) else [self._draw_rectangle(size, rng) for _ in range(crops)]
        return tuple(
            View(left, top, width, height, resized_size(height, width, longest), mirrored)
            for left, top, width, height in (*rectangles, (0, 0, size[1], size[0]))
        )

    def _draw_rectangle(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        share = rng.uniform(*self.crop)
        stretch = _STRETCH ** rng.uniform(-1, 1)
        height = min(max(int(size[0] * share / stretch + 0.5), 1), size[0])
        width = min(max(int(size[1] * share * stretch + 0.5), 1), size[1])
        top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
        return left, top, width, height

    def recolor(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Return ``image``, uint8 ``(3, h, w)``, in other colours.

        Every change is affine in the colours, so all of them together are one matrix and one offset.
        """
        brightness, contrast, saturation = 1 + self.color * rng.uniform(-1, 1, 3)
        tint = 1 + _TINT * self.color * rng.uniform(-1, 1, 3)
        if rng.random() < self.gray:
            saturation, tint = 0.0, np.ones(3)
        elif self.color == 0:
            return image
        matrix: NDArray[np.float64] = saturation * np.eye(3) + (1 - saturation) * _LUMA
        matrix = brightness * tint[:, None] * matrix
        pixels = image.flatten(1).float()
        mean = matrix @ pixels.mean(1).double().numpy()
        offset = (1 - contrast) * (_LUMA @ mean)  # contrast is the distance to the picture's mean brightness
        changed = torch.from_numpy(contrast * matrix).float() @ pixels + float(offset)
        return changed.round_().clamp_(0, 255).to(torch.uint8).reshape(image.shape)
