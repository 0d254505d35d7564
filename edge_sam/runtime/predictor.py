"""Masks for one image at a time from a pair of exported graphs; the interface of segment-anything's predictor."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.inputs.pictures import ChannelOrder, rgb_pixels
from edge_sam.inputs.prompts import check_prompts, expect_together
from edge_sam.runtime.graphs import TOP_LEFT_LABEL, Array, GraphPair
from edge_sam.runtime.masks import MASK_THRESHOLD, enlarged, stability_score
from edge_sam.runtime.pictures import normalised_square, resized_size

Floats = NDArray[np.floating[Any]]

_PROMPTS_AT_ONCE = 64
"""Prompts that are decoded together: memory grows with them."""


class GraphPredictor:
    """Embeds an image once, then answers any number of prompts.

    Args:
        graphs: encoder and decoder.
        expect_finite: insist that the answers are neither NaN nor infinite.
    """

    def __init__(self, graphs: GraphPair, expect_finite: bool = True) -> None:
        self.graphs = graphs
        self._expect_finite = expect_finite
        self.reset_image()

    @property
    def is_image_set(self) -> bool:
        """Whether there is an image to ask about."""
        return self.features is not None

    def reset_image(self) -> None:
        """Forget the image."""
        self.features: NDArray[np.float32] | None = None
        self.original_size: tuple[int, int] = (0, 0)
        self.input_size: tuple[int, int] = (0, 0)

    def set_image(self, image: NDArray[np.uint8] | Image.Image, image_format: ChannelOrder = "RGB") -> None:
        """Embed an image.

        Args:
            image: a PIL image, or uint8 (H, W, 3).
            image_format: order of an array's channels.

        Raises:
            EdgeSamError: as :func:`edge_sam.inputs.pictures.rgb_pixels`.
        """
        pixels = rgb_pixels(image, image_format)
        self.reset_image()
        description = self.graphs.description
        if description.preprocess:
            features = self.graphs.encoder({"image": pixels})[0]
        else:
            features = self.graphs.encoder({"images": normalised_square(pixels, description.image_size)})[0]
        self.features = features
        self.original_size = (pixels.shape[0], pixels.shape[1])
        self.input_size = resized_size(*self.original_size, description.image_size)

    def predict(
        self,
        point_coords: Floats | None = None,
        point_labels: NDArray[np.integer[Any]] | None = None,
        box: Floats | None = None,
        mask_input: NDArray[np.float32] | None = None,
        num_multimask_outputs: int = 3,
        use_stability_score: bool = False,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Predict the masks of one object, or of N objects if the prompts have that dimension before the others.

        Args:
            point_coords: (P, 2) or (N, P, 2), (x, y) in pixels of the image.
            point_labels: (P,) or (N, P): 1 foreground, 0 background.
            box: (4,) or (N, 4), XYXY in pixels of the image; (1, 4) also beside prompts of one object.
            mask_input: (1, 4h, 4w) or (N, 1, 4h, 4w) logits, e.g. the third result of an earlier call.
            num_multimask_outputs: K = 1: the single mask; 3: three candidates; 4: both.
            use_stability_score: score by how little a mask changes with the threshold instead of by predicted IoU.
            return_logits: logits instead of bool masks.

        Returns:
            masks (K, H, W), bool or float32; scores (K,); low-resolution logits (K, 4h, 4w). For
            N objects each with that dimension before the others; N may be 0.

        Raises:
            EdgeSamError: no image, prompts that :func:`edge_sam.inputs.prompts.check_prompts` refuses, masks or scores
                that these graphs do not compute.
            NotFiniteError: scores or logits are no numbers.
        """
        self.get_image_embedding()
        side = self.graphs.description.image_size // 4
        asked = check_prompts(point_coords, point_labels, box, mask_input, self.original_size, side)
        masks, scores, low_resolution = self.predict_batch(
            None if asked.points is None else self.apply_coords(asked.points),
            asked.labels,
            None if asked.boxes is None else self.apply_coords(asked.boxes.reshape(-1, 2, 2)).reshape(-1, 4),
            asked.masks,
            num_multimask_outputs,
            use_stability_score,
            return_logits,
        )
        return (masks, scores, low_resolution) if asked.batched else (masks[0], scores[0], low_resolution[0])

    def predict_batch(
        self,
        point_coords: Floats | None,
        point_labels: NDArray[np.integer[Any]] | None,
        boxes: Floats | None = None,
        mask_input: NDArray[np.float32] | None = None,
        num_multimask_outputs: int = 3,
        use_stability_score: bool = False,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Predict the masks of N objects; coordinates are input pixels (see :meth:`apply_coords`).

        Args:
            point_coords: (N, P, 2).
            point_labels: (N, P): 1 foreground, 0 background, -1 padding.
            boxes: (N, 4), XYXY.
            mask_input: (N, 1, 4h, 4w).
            num_multimask_outputs: see :meth:`predict`, as for the arguments that follow.
            use_stability_score: score by stability instead of predicted IoU.
            return_logits: logits instead of bool masks.

        Returns:
            masks (N, K, H, W), scores (N, K), low-resolution logits (N, K, 4h, 4w).

        Raises:
            EdgeSamError: no image, no prompt, arrays that do not belong together, masks or scores that these graphs do
                not compute.
            NotFiniteError: scores or logits are no numbers.
        """
        self.get_image_embedding()
        chosen = self.graphs.description.chosen_masks(num_multimask_outputs)
        coordinates, labels = _as_points(point_coords, point_labels, boxes, mask_input)
        shape, side = (len(coordinates), num_multimask_outputs), self.graphs.description.image_size // 4
        low_resolution = np.empty((*shape, side, side), np.float32)
        scores = np.empty(shape, np.float32)
        masks: NDArray[Any] = np.empty((*shape, *self.original_size), np.float32 if return_logits else np.bool_)
        for part, answers in self._decode(coordinates, labels, mask_input):
            low_resolution[part], scores[part], *logits = (x[:, chosen] for x in answers)
            if self._expect_finite and not all(np.isfinite(x[part]).all() for x in (low_resolution, scores)):
                raise NotFiniteError
            self._enlarge(low_resolution[part], logits, masks[part])
        if use_stability_score != self.graphs.description.use_stability_score:
            scores = self._other_scores(low_resolution)
        return masks, scores, low_resolution

    def get_image_embedding(self) -> NDArray[np.float32]:
        """Return the embedding of the image, (1, 256, h, w).

        Raises:
            EdgeSamError: no image was set.
        """
        if self.features is None:
            raise EdgeSamError("no image was set: call set_image before predict")
        return self.features

    def apply_coords(self, coordinates: Floats) -> NDArray[np.float32]:
        """Scale (..., 2) from pixels of the image to input pixels.

        Raises:
            EdgeSamError: no image was set.
        """
        self.get_image_embedding()
        ratio = np.array([self.input_size[axis] / self.original_size[axis] for axis in (1, 0)])
        return np.asarray(coordinates.astype(np.float64) * ratio, np.float32)

    def _decode(
        self, coordinates: NDArray[np.float32], labels: NDArray[np.float32], masks: NDArray[np.float32] | None
    ) -> Iterator[tuple[slice, Sequence[Array]]]:
        """Decode prompts part by part; yield which they are, and what the graph answers to them."""
        inputs = {
            "image_embeddings": self.get_image_embedding(),
            "has_mask_input": np.full(1, masks is not None, np.float32),
        }
        if self.graphs.description.postprocess:
            inputs["orig_im_size"] = np.array(self.original_size, np.float32)
        masks = self._mask_inputs(masks, len(coordinates))
        # A graph takes one mask for all prompts, so that it need not copy the image for each prompt without one.
        step = _PROMPTS_AT_ONCE if len(masks) == 1 else 1
        for start in range(0, len(coordinates), step):
            part = slice(start, start + step)
            prompts = {"point_coords": coordinates[part], "point_labels": labels[part]}
            mask = masks if len(masks) == 1 else masks[part]
            yield part, self.graphs.decoder({**inputs, **prompts, "mask_input": mask})

    def _mask_inputs(self, masks: NDArray[np.float32] | None, count: int) -> NDArray[np.float32]:
        """Return masks float32, (1, 1, 4h, 4w) or one for each of ``count`` prompts; zeros where there is none."""
        side = self.graphs.description.image_size // 4
        if masks is None:
            return np.zeros((1, 1, side, side), np.float32)
        _shaped("mask_input", masks, (len(masks), 1, side, side))
        if len(masks) not in (1, count):
            raise EdgeSamError(f"{count} prompts have {len(masks)} masks: give one each, or one for all")
        return masks.astype(np.float32)

    def _other_scores(self, low_resolution: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.graphs.description.use_stability_score:
            raise EdgeSamError("this decoder was exported with stability scores; it does not predict the IoU")
        return stability_score(low_resolution)

    def _enlarge(self, low_resolution: NDArray[np.float32], logits: Sequence[Array], masks: NDArray[Any]) -> None:
        """Fill (N, K, H, W), bool or logits, mask by mask: all of them in float32 may need gigabytes more.

        Args:
            low_resolution: (N, K, 4h, 4w).
            logits: (N, K, H, W) where the graph gives them, else nothing.
            masks: to fill.
        """
        sizes = self.graphs.description.image_size, self.input_size, self.original_size
        for index in np.ndindex(masks.shape[:2]):
            large = logits[0][index] if logits else enlarged(low_resolution[index], *sizes)
            masks[index] = large > MASK_THRESHOLD if masks.dtype == np.bool_ else large


def _as_points(
    coordinates: Floats | None,
    labels: NDArray[np.integer[Any]] | None,
    boxes: Floats | None,
    masks: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return all prompts as points, float32 (N, P, 2), and labels, float32 (N, P); a box is its two corners.

    Raises:
        EdgeSamError: none of them, points without labels or labels without points, or other shapes.
    """
    expect_together(coordinates, labels)
    given = next((x for x in (coordinates, boxes, masks) if x is not None), None)
    if given is None:
        raise EdgeSamError("no prompt: give points, a box or a mask")
    count = len(given)
    places, kinds = [np.zeros((count, 0, 2))], [np.zeros((count, 0))]
    if coordinates is not None and labels is not None:
        places.append(_shaped("point_coords", coordinates, (*labels.shape, 2)))
        kinds.append(_shaped("point_labels", labels, (count, labels.shape[-1])))
    if boxes is not None:
        places.append(_shaped("boxes", boxes, (count, 4)).reshape(count, 2, 2))
        kinds.append(np.tile([TOP_LEFT_LABEL, TOP_LEFT_LABEL + 1], (count, 1)))
    return np.concatenate(places, axis=1).astype(np.float32), np.concatenate(kinds, axis=1).astype(np.float32)


def _shaped(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != shape:
        raise EdgeSamError(f"{name} has shape {array.shape}, not {shape}")
    return array
