"""One image, one protocol: prompt, choose a mask, compare, click where it is wrong, and again."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.evaluation.ground_truth import noise_of, unpack
from edge_sam.evaluation.instances import EvaluationImage
from edge_sam.evaluation.protocols import MIN_CLICK_PIXELS, EvaluationProtocol, MultimaskSelect
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import IGNORED, sample_clicks

_MAX_PIXELS = 2**26
"""Logits at input or original size that are held at once: 256 MB in float32."""


def measure_image(
    sam: Sam, embedding: Tensor, image: EvaluationImage, protocol: EvaluationProtocol, max_prompts: int
) -> NDArray[np.float64]:
    """Return the IoU float64 (n, rounds) of the n instances of ``image`` that have ground truth.

    Args:
        sam: in eval mode.
        embedding: (1, 256, h, w) of the image.
        image: its prompts and ground truth.
        protocol: what to do.
        max_prompts: prompts decoded at once.
    """
    numbers = np.flatnonzero(image.truths[protocol.ground_truth].present)
    chunks = [numbers[start : start + max_prompts] for start in range(0, len(numbers), max_prompts)]
    rows = [_measure_chunk(sam, embedding, image, protocol, chunk) for chunk in chunks]
    return np.concatenate([np.zeros((0, len(protocol.rounds))), *rows])


def _measure_chunk(
    sam: Sam, embedding: Tensor, image: EvaluationImage, protocol: EvaluationProtocol, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    device = embedding.device
    truth = torch.from_numpy(image.truths[protocol.ground_truth].bits[numbers]).to(device)
    noise = _click_noise(image, protocol, numbers).to(device)
    prompts = _first_prompts(image, protocol, numbers).to(device)
    finished = torch.zeros(len(numbers), dtype=torch.bool, device=device)
    rounds: list[Tensor] = []
    for number in range(len(protocol.rounds)):
        low_res = _decode(sam, embedding, image, prompts, protocol)
        # After the last round there is no noise left, and so no click.
        iou, points, labels = _compare(sam, low_res, image, truth, noise[:, number : number + 1])
        # Where there was nothing left to click on, the user was content with the round before.
        rounds.append(torch.where(finished, rounds[-1], iou) if rounds else iou)
        prompts = prompts.add_points(points, labels)
        finished |= (labels == IGNORED).any(dim=1)
    return torch.stack(rounds, dim=1).cpu().numpy()


def _first_prompts(image: EvaluationImage, protocol: EvaluationProtocol, numbers: NDArray[np.int64]) -> Prompts:
    if protocol.prompt_type == "box":
        return Prompts.from_boxes(torch.from_numpy(image.boxes[numbers]))
    points = image.first_points(protocol.ground_truth, protocol.point_from)[numbers]
    return Prompts.from_points(torch.from_numpy(points)[:, None])


def _click_noise(image: EvaluationImage, protocol: EvaluationProtocol, numbers: NDArray[np.int64]) -> Tensor:
    """Return float32 (n, clicks): what decides the clicks of the refinement rounds."""
    clicks = range(1, protocol.refine_iters + 1)
    rows = [[noise_of(protocol.seed, image.image_id, int(number), click) for click in clicks] for number in numbers]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(numbers), protocol.refine_iters)


def _decode(
    sam: Sam, embedding: Tensor, image: EvaluationImage, prompts: Prompts, protocol: EvaluationProtocol
) -> Tensor:
    """Return the low-resolution logits float32 (n, K, 4h, 4w) that may be the answer: K = 1 unless by oracle."""
    sparse, dense = sam.prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
    masks, scores = sam.mask_decoder(
        embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, protocol.num_multimask_outputs
    )
    height, width = (-(-side * masks.shape[-1] // sam.image_size) for side in image.size)
    return select_masks(masks.float(), scores, protocol.multimask_select, (height, width))


def select_masks(masks: Tensor, scores: Tensor, select: MultimaskSelect, inside: tuple[int, int]) -> Tensor:
    """Keep the one mask of several that a rule chooses; the oracle keeps all, the truth decides later.

    Args:
        masks: logits (n, K, 4h, 4w).
        scores: predicted IoU (n, K).
        select: see :class:`EvaluationProtocol`.
        inside: rows and columns that are not padding; only these count for the area.
    """
    if select == "oracle" or masks.shape[1] == 1:
        return masks
    if select == "area":
        scores = (masks[..., : inside[0], : inside[1]] > MASK_THRESHOLD).sum(dim=(2, 3))
    best = scores.argmax(dim=1)
    return masks[torch.arange(len(masks), device=masks.device), best][:, None]


def _compare(
    sam: Sam, low_res: Tensor, image: EvaluationImage, truth: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compare at original size, a few masks at a time.

    Returns:
        IoU float64 (n,), and a click for each column of ``noise`` (n, K): points (n, K, 2) in input pixels, labels.
    """
    height, width = image.original_size
    scale = torch.tensor([image.size[1] / width, image.size[0] / height], device=low_res.device)
    some = max(1, _MAX_PIXELS // (low_res.shape[1] * max(height * width, sam.image_size**2)))
    parts = []
    for start in range(0, len(low_res), some):
        part = slice(start, start + some)
        masks = sam.postprocess_masks(low_res[part], image.size, image.original_size) > MASK_THRESHOLD
        wanted = unpack(truth[part], width)
        iou, best = mask_iou(masks, wanted).max(dim=1)
        points, labels = noise.new_zeros(len(masks), 0, 2), best.new_zeros(len(masks), 0)
        if noise.shape[1]:
            chosen = masks[torch.arange(len(masks), device=masks.device), best]
            points, labels = sample_clicks(wanted, chosen, None, noise[part], stride=1, min_pixels=MIN_CLICK_PIXELS)
        parts.append((iou, points * scale, labels))
    iou, points, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return iou, points, labels


def mask_iou(masks: Tensor, truth: Tensor) -> Tensor:
    """Return the intersection over union float64 (n, K) of masks bool (n, K, H, W) with one truth each, (n, H, W)."""
    truth = truth[:, None]
    intersection = (masks & truth).sum(dim=(2, 3))
    union = (masks | truth).sum(dim=(2, 3))
    return intersection.double() / union
