"""What a model answers to many single points of one picture, as far as it is good."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.data.run_length_encoding import encode_crop
from edge_sam.inference.found_masks import FoundMask, bounding_box, is_cut_off
from edge_sam.inference.predictor import SamPredictor, expect_finite, stability_score
from edge_sam.inference.repeated_masks import RepeatedMasks
from edge_sam.inference.upsampling import MaskUpsampler
from edge_sam.inference.window import Window
from edge_sam.modeling.sam import MASK_THRESHOLD


@dataclass(frozen=True)
class Quality:
    """What a mask must reach.

    Attributes:
        predicted_iou: more than this; 0 for no bar.
        stability_score: at least this; 0 for no bar.
        stability_offset: distance of the two thresholds that the stability score compares.
    """

    predicted_iou: float
    stability_score: float
    stability_offset: float


class PointAnswers:
    """Answers to points of one crop of a picture.

    Predicted IoU decides before a mask is made, stability before it is brought to run lengths; and only the part of the
    picture is looked at where the mask can be. A mask without a pixel is never good.

    Args:
        predictor: its image is the crop.
        crop: its place in the picture.
        size: (H, W) of the picture.
        quality: what a mask must reach.
        spare_repeats: do not make masks that are like a better one that was given before.
    """

    def __init__(
        self,
        predictor: SamPredictor,
        crop: Window,
        size: tuple[int, int],
        quality: Quality,
        spare_repeats: bool = False,
    ) -> None:
        self._predictor, self._crop, self._size, self._quality = predictor, crop, size, quality
        self._decoder = predictor.image_decoder.shared
        self._upsampler = MaskUpsampler(
            4 * predictor.model.prompt_encoder.image_embedding_size[1],
            predictor.model.image_size,
            predictor.input_size,
            predictor.original_size,
            predictor.device,
        )
        self._repeats = RepeatedMasks() if spare_repeats else None
        self._sampled = _every_second(predictor).to(predictor.device)

    def good(self, points: NDArray[np.float64]) -> Iterator[FoundMask]:
        """Give those of the three masks of each point that are good enough and not cut off by the crop.

        Args:
            points: (n, 2), (x, y) in pixels of the crop.

        Raises:
            NotFiniteError: scores or logits are no numbers.
        """
        bar = self._quality.predicted_iou if self._quality.predicted_iou > 0 else -math.inf
        origins = points + np.array([self._crop.left, self._crop.top])
        done = 0
        for candidates in self._decoder.candidates(self._embed(points), 3):
            expect_finite(candidates.iou)
            chosen = candidates.iou > bar
            samples: Sequence[Tensor | None] = [None] * int(chosen.sum())
            if self._repeats is not None:
                of_chosen = candidates.samples(chosen, self._sampled) > MASK_THRESHOLD
                fresh = ~self._repeats.repeat(of_chosen, candidates.iou[chosen])
                chosen[chosen.clone()] = fresh
                samples = list(of_chosen[fresh])
            masks = candidates.logits(chosen).float()
            expect_finite(masks)
            windows = self._upsampler.windows(masks, MASK_THRESHOLD - self._quality.stability_offset)
            scores = candidates.iou[chosen].tolist()
            indices = (done + chosen.nonzero()[:, 0]).cpu().numpy()
            done += len(chosen)
            for mask, window, score, origin, sample in zip(
                masks, windows, scores, origins[indices].tolist(), samples, strict=True
            ):
                found = self._found(mask, window, score, (origin[0], origin[1]))
                if found is not None:
                    if self._repeats is not None and sample is not None:
                        self._repeats.add(sample, score)
                    yield found

    def _embed(self, points: NDArray[np.float64]) -> Tensor:
        """Return the prompt tokens (n, 2, C) of points (n, 2)."""
        predictor = self._predictor
        coordinates = predictor.apply_coords(torch.from_numpy(points).to(predictor.device))[:, None]
        labels = torch.ones(len(points), 1, dtype=torch.int64, device=predictor.device)
        sparse, _ = predictor.model.prompt_encoder((coordinates, labels), None, None)
        return cast(Tensor, sparse)

    def _found(self, mask: Tensor, window: Window, score: float, point: tuple[float, float]) -> FoundMask | None:
        """Return the mask of logits (4h, 4w) if it is good."""
        quality, crop = self._quality, self._crop
        enlarged = self._upsampler.logits(mask, window)
        stability = float(stability_score(enlarged, offset=quality.stability_offset))
        if stability < quality.stability_score:
            return None
        bits = (enlarged > MASK_THRESHOLD).cpu().numpy()
        if not bits.any():
            return None
        left, top = crop.left + window.left, crop.top + window.top
        box = bounding_box(bits, left, top)
        if is_cut_off(box, crop, self._size):
            return None
        return FoundMask(encode_crop(bits, left, top, self._size), box, score, stability, point, crop)


def _every_second(predictor: SamPredictor) -> Tensor:
    """Return every second row and column of the embedding's positions that show something of the image, (n,)."""
    height, width = predictor.model.prompt_encoder.image_embedding_size
    rows, columns = (
        torch.arange(0, math.ceil(inside * side / predictor.model.image_size), 2)
        for inside, side in zip(predictor.input_size, (height, width), strict=True)
    )
    return (rows[:, None] * width + columns).flatten()
