"""What a model answers to many single points of one picture, as far as it is good."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.data.run_length_encoding import encode_crop
from edge_sam.inference.found_masks import FoundMask, bounding_box, is_cut_off
from edge_sam.inference.predictor import SamPredictor, stability_score
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


def good_answers(
    predictor: SamPredictor, points: NDArray[np.float64], crop: Window, size: tuple[int, int], quality: Quality
) -> Iterator[FoundMask]:
    """Give those of the three masks of each point that are good enough and not cut off by the crop.

    Predicted IoU decides before anything is brought to the picture's size, and then only the part of it is made where
    the mask can be. A mask without a pixel is never good.

    Args:
        predictor: its image is the crop.
        points: (n, 2), (x, y) in pixels of the crop.
        crop: its place in the picture.
        size: (H, W) of the picture.
        quality: what a mask must reach.
    """
    logits, scores = _decode(predictor, points)
    chosen = scores > quality.predicted_iou if quality.predicted_iou > 0 else ~scores.isnan()
    logits = logits[chosen]
    upsampler = MaskUpsampler(
        logits.shape[-1], predictor.model.image_size, predictor.input_size, predictor.original_size, logits.device
    )
    windows = upsampler.windows(logits, MASK_THRESHOLD - quality.stability_offset)
    origins = points[chosen.nonzero()[:, 0].cpu().numpy()] + np.array([crop.left, crop.top])
    for mask, window, score, (x, y) in zip(logits, windows, scores[chosen].tolist(), origins.tolist(), strict=True):
        enlarged = upsampler.logits(mask, window)
        stability = float(stability_score(enlarged, offset=quality.stability_offset))
        bits = (enlarged > MASK_THRESHOLD).cpu().numpy()
        if stability < quality.stability_score or not bits.any():
            continue
        left, top = crop.left + window.left, crop.top + window.top
        box = bounding_box(bits, left, top)
        if not is_cut_off(box, crop, size):
            yield FoundMask(encode_crop(bits, left, top, size), box, score, stability, (x, y), crop)


def _decode(predictor: SamPredictor, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Return the logits (n, 3, 4h, 4w) and predicted IoU (n, 3) of points (n, 2)."""
    model = predictor.model
    coordinates = predictor.apply_coords(torch.from_numpy(points).to(predictor.device))[:, None]
    labels = torch.ones(len(points), 1, dtype=torch.int64, device=predictor.device)
    sparse, dense = model.prompt_encoder((coordinates, labels), None, None)
    pe = model.prompt_encoder.get_dense_pe()
    logits, scores = model.mask_decoder(predictor.get_image_embedding(), pe, sparse, dense, 3, fold=True)
    return logits.float(), scores.float()
