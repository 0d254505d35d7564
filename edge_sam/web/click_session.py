"""What people click in their pictures and the masks of it: the logic of the demo on a server, without a page."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edge_sam.errors import EdgeSamError
from edge_sam.inference.overlays import draw_masks, draw_prompts
from edge_sam.inputs.pictures import read_pixels

Mode = Literal["add", "remove", "box"]
"""What a click is: a point of the object, one beside it, a corner of its box."""

MOST_PIXELS = 50_000_000
"""Of a picture that a server takes."""

Place = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Clicks:
    """What was clicked, in pixels of the picture.

    Attributes:
        points: x, y, and the label: 1 of the object, 0 beside it.
        corner: of a box that has but one yet.
        box: left, top, right, bottom.
        before: the clicks without the last one, for undoing it; None where there is none.
    """

    points: tuple[tuple[float, float, int], ...] = ()
    corner: Place | None = None
    box: Box | None = None
    before: "Clicks | None" = None

    @property
    def ask_for_something(self) -> bool:
        """Whether there is a point or a box."""
        return bool(self.points or self.box)

    def with_click(self, x: float, y: float, mode: Mode) -> "Clicks":
        """Return them with one more. The second corner of a box takes the place of an earlier box.

        Raises:
            EdgeSamError: no such mode, or a box without area.
        """
        if mode not in get_args(Mode):
            raise EdgeSamError(f"a click adds, removes or boxes, not {mode!r}")
        if mode != "box":
            return Clicks((*self.points, (x, y, int(mode == "add"))), None, self.box, self)
        if self.corner is None:
            return Clicks(self.points, (x, y), self.box, self)
        left, right = sorted((self.corner[0], x))
        top, bottom = sorted((self.corner[1], y))
        if left == right or top == bottom:
            raise EdgeSamError("this box has no area: click its opposite corner")
        return Clicks(self.points, None, (left, top, right, bottom), self)

    def without_last(self) -> "Clicks":
        """Return them as they were before the last one."""
        return self.before or self


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture and what the network said of it, for one person.

    Attributes:
        pixels: RGB uint8 (H, W, 3).
        features: of the predictor, as ``input_size``.
        input_size: (height, width) of the resized picture.
    """

    pixels: NDArray[np.uint8]
    features: Any
    input_size: tuple[int, int]


class Predictor(Protocol):
    """What :class:`edge_sam.SamPredictor` and :class:`edge_sam.runtime.onnx_graphs.OnnxSamPredictor` have in common."""

    features: Any
    original_size: tuple[int, int]
    input_size: tuple[int, int]

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """Embed a picture."""

    def predict(
        self,
        point_coords: NDArray[np.float64] | None = None,
        point_labels: NDArray[np.int64] | None = None,
        box: NDArray[np.float64] | None = None,
        mask_input: None = None,
        num_multimask_outputs: int = 3,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Return masks (K, H, W), scores (K,), logits."""


class SharedPredictor:
    """One predictor for many people at a time, each with a picture of their own.

    Args:
        predictor: used by nobody else.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._turn = threading.Lock()

    def embed(self, path: str | Path) -> EmbeddedPicture:
        """Read and embed a picture.

        Raises:
            EdgeSamError: it cannot be read, or has more than :data:`MOST_PIXELS`.
        """
        _expect_moderate_size(Path(path))
        pixels = read_pixels(path)
        with self._turn:
            self._predictor.set_image(pixels)
            return EmbeddedPicture(pixels, self._predictor.features, self._predictor.input_size)

    def masks(
        self, picture: EmbeddedPicture, clicks: Clicks, count: int = 1
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (K, H, W) and scores (K,), the best first; none of no clicks.

        Args:
            picture: that was embedded.
            clicks: in it.
            count: of masks: 1, 3 or 4, see :meth:`edge_sam.SamPredictor.predict`.

        Raises:
            EdgeSamError: another count, or clicks outside of the picture.
        """
        height, width = picture.pixels.shape[:2]
        if not clicks.ask_for_something:
            return np.zeros((0, height, width), np.bool_), np.zeros(0, np.float32)
        points = np.array([point[:2] for point in clicks.points], np.float64) if clicks.points else None
        labels = np.array([point[2] for point in clicks.points], np.int64) if clicks.points else None
        box = np.array(clicks.box, np.float64) if clicks.box else None
        with self._turn:
            self._predictor.features = picture.features
            self._predictor.original_size = (height, width)
            self._predictor.input_size = picture.input_size
            masks, scores, _ = self._predictor.predict(points, labels, box, num_multimask_outputs=count)
        order = np.argsort(-scores, kind="stable")
        return masks[order], scores[order]


def draw_answer(picture: EmbeddedPicture, clicks: Clicks, mask: NDArray[np.bool_] | None) -> Image.Image:
    """Return the picture with a mask (H, W) and the clicks over it."""
    drawn = draw_masks(picture.pixels, [] if mask is None else [mask])
    points = np.array([point[:2] for point in clicks.points], np.float64).reshape(-1, 2)
    labels = np.array([point[2] for point in clicks.points], np.int64)
    corner = [] if clicks.corner is None else [(*clicks.corner, *clicks.corner)]
    boxes = np.array([*([clicks.box] if clicks.box else []), *corner], np.float64).reshape(-1, 4)
    draw_prompts(drawn, points, labels, boxes)
    return drawn


def _expect_moderate_size(path: Path) -> None:
    """Look at a file's header before its pixels take memory; what cannot be read is for :func:`read_pixels` to say."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError):
        return
    if width * height > MOST_PIXELS:
        raise EdgeSamError(
            f"this picture of {width} x {height} is larger than {MOST_PIXELS // 10**6} million pixels: shrink it"
        )
