"""One image, one protocol: prompt, choose a mask, compare, click where it is wrong, and again."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_sam.evaluation.answers import AskedImage, PromptedModel
from edge_sam.evaluation.boundary import boundary_iou
from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.ground_truth import noise_of
from edge_sam.evaluation.instances import EvaluationImage
from edge_sam.evaluation.protocols import MIN_CLICK_PIXELS, EvaluationProtocol
from edge_sam.inference.upsampling import MaskUpsampler
from edge_sam.inference.window import Window
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import IGNORED, sample_clicks


@dataclass(frozen=True)
class Measured:
    """What the n instances of an image that have ground truth gave.

    Attributes:
        iou: float64 (n, rounds).
        boundary_iou: float64 (n, rounds) where the protocol asks for it.
        failed: bool (n, rounds): the model's answer was no number, and the IoU is 0.
    """

    iou: NDArray[np.float64]
    boundary_iou: NDArray[np.float64] | None
    failed: NDArray[np.bool_]


def measure_image(
    sam: PromptedModel, embedding: Tensor, image: EvaluationImage, protocol: EvaluationProtocol, max_prompts: int
) -> Measured:
    """Simulate the user on the instances of ``image`` that have ground truth.

    Args:
        sam: in eval mode.
        embedding: (1, 256, h, w) of the image.
        image: its prompts and ground truth.
        protocol: what to do.
        max_prompts: prompts decoded at once.
    """
    numbers = np.flatnonzero(image.truths[protocol.ground_truth].present)
    chunks = [numbers[start : start + max_prompts] for start in range(0, len(numbers), max_prompts)]
    asked = AskedImage(sam, embedding, image.size)
    parts = [_measure_chunk(asked, image, protocol, chunk) for chunk in chunks]
    none = np.zeros((0, len(protocol.rounds)))
    scores = np.concatenate([np.stack([none] * (1 + protocol.boundary), axis=2), *(scores for scores, _ in parts)])
    return Measured(
        iou=scores[..., 0],
        boundary_iou=scores[..., 1] if protocol.boundary else None,
        failed=np.concatenate([none.astype(bool), *(failed for _, failed in parts)]),
    )


def first_answer(
    sam: PromptedModel, embedding: Tensor, image: EvaluationImage, protocol: EvaluationProtocol, number: int
) -> CroppedMask:
    """Return the mask that counts after the first prompt of one instance.

    Args:
        sam: in eval mode.
        embedding: (1, 256, h, w) of the image.
        image: its prompts and ground truth.
        protocol: what to do.
        number: of an instance that has ground truth.
    """
    asked = AskedImage(sam, embedding, image.size)
    truth = _Wanted(image.truths[protocol.ground_truth].masks[number], asked.device)
    prompts = _first_prompts(image, protocol, np.array([number])).to(asked.device)
    masks = asked.answer(prompts, protocol.num_multimask_outputs, protocol.multimask_select).masks
    upsampler = MaskUpsampler(masks.shape[-1], asked.image_size, image.size, image.original_size, asked.device)
    windows = upsampler.windows(masks[0])
    found = [upsampler.binary_mask(mask, window) for mask, window in zip(masks[0], windows, strict=True)]
    iou = torch.stack([_iou(mask, window, truth) for mask, window in zip(found, windows, strict=True)])
    best = int(iou.argmax())
    return CroppedMask.from_crop(found[best].cpu().numpy(), windows[best].top, windows[best].left)


def _measure_chunk(
    asked: AskedImage,
    image: EvaluationImage,
    protocol: EvaluationProtocol,
    numbers: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return IoU, and where asked for boundary IoU (n, rounds, 1 or 2), and failures (n, rounds)."""
    device = asked.device
    masks = image.truths[protocol.ground_truth].masks
    truths = [_Wanted(masks[number], device) for number in numbers.tolist()]
    noise = _click_noise(image, protocol, numbers).to(device)
    prompts = _first_prompts(image, protocol, numbers).to(device)
    finished = torch.zeros(len(numbers), dtype=torch.bool, device=device)
    upsampler: MaskUpsampler | None = None
    rounds: list[Tensor] = []
    failures: list[Tensor] = []
    for number in range(len(protocol.rounds)):
        answers = asked.answer(prompts, protocol.num_multimask_outputs, protocol.multimask_select)
        low_res, failed = answers.masks, answers.failed
        upsampler = upsampler or MaskUpsampler(
            low_res.shape[-1], asked.image_size, image.size, image.original_size, device
        )
        # After the last round there is no noise left, and so no click.
        picture = image.original_size if protocol.boundary else None
        scores, points, labels = _compare(upsampler, low_res, truths, noise[:, number : number + 1], picture)
        # Where there was nothing left to click on, the user was content with the round before.
        rounds.append(torch.where(finished[:, None], rounds[-1], scores) if rounds else scores)
        failures.append(failed & ~finished)
        prompts = prompts.add_points(points * _input_scale(image, device), labels)
        finished |= (labels == IGNORED).any(dim=1)
    return torch.stack(rounds, dim=1).cpu().numpy(), torch.stack(failures, dim=1).cpu().numpy()


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


class _Wanted:
    """The mask of an instance on the device.

    Attributes:
        window: where it lies.
        pixels: bool (rows, columns), inside.
        area: how many are set.
    """

    def __init__(self, mask: CroppedMask, device: torch.device) -> None:
        self.window = mask.window
        self.pixels = torch.from_numpy(mask.crop()).to(device)
        self.area = mask.area


def _compare(
    upsampler: MaskUpsampler,
    low_res: Tensor,
    truths: list[_Wanted],
    noise: Tensor,
    boundary_in: tuple[int, int] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compare at original size, each mask where it lies.

    Returns:
        IoU of the best of the K masks, float64 (n, 1), or its IoU and boundary IoU (n, 2) in a picture of the size
        ``boundary_in``; and a click for each column of ``noise`` (n, C): points (n, C, 2) in pixels of the file, labels
        (n, C).
    """
    count = low_res.shape[1]
    windows = upsampler.windows(low_res.flatten(0, 1))
    results, clicks = [], []
    for number, truth in enumerate(truths):
        frames = windows[number * count : (number + 1) * count]
        found = [upsampler.binary_mask(mask, frame) for mask, frame in zip(low_res[number], frames, strict=True)]
        iou = torch.stack([_iou(mask, frame, truth) for mask, frame in zip(found, frames, strict=True)])
        best = int(iou.argmax()) if count > 1 else 0
        results.append(iou[best : best + 1])
        if boundary_in is not None:
            results[-1] = torch.cat([results[-1], _boundary_iou(found[best], frames[best], truth, boundary_in)])
        clicks.append(_click(found[best], frames[best], truth, noise[number : number + 1]))
    points, labels = (torch.cat(column) for column in zip(*clicks, strict=True))
    return torch.stack(results), points, labels


def _iou(found: Tensor, window: Window, truth: _Wanted) -> Tensor:
    shared = window.intersection(truth.window)
    both = torch.count_nonzero(found[shared.within(window)] & truth.pixels[shared.within(truth.window)])
    return both.double() / (torch.count_nonzero(found) + truth.area - both)


def _together(found: Tensor, window: Window, truth: _Wanted) -> tuple[Tensor, Window]:
    """Return the prediction and the truth, bool (2, rows, columns), in the smallest window that holds both."""
    frame = window.around(truth.window)
    both = torch.zeros(2, *frame.shape, dtype=torch.bool, device=found.device)
    both[0][window.within(frame)] = found
    both[1][truth.window.within(frame)] = truth.pixels
    return both, frame


def _boundary_iou(found: Tensor, window: Window, truth: _Wanted, size: tuple[int, int]) -> Tensor:
    """Return the boundary IoU float64 (1,)."""
    predicted, wanted = _together(found, window, truth)[0].cpu().numpy()
    return torch.tensor([boundary_iou(predicted, wanted, size)], dtype=torch.float64, device=found.device)


def _click(found: Tensor, window: Window, truth: _Wanted, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return points (1, C, 2) and labels (1, C): the clicks are the same as those drawn in the whole picture."""
    if not noise.shape[1]:
        return noise.new_zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.int64, device=noise.device)
    (predicted, wanted), frame = _together(found, window, truth)
    points, labels = sample_clicks(wanted[None], predicted[None], None, noise, 1, MIN_CLICK_PIXELS)
    corner = torch.tensor([frame.left, frame.top], device=noise.device)
    return torch.where((labels == IGNORED)[..., None], points, points + corner), labels


def _input_scale(image: EvaluationImage, device: torch.device) -> Tensor:
    height, width = image.original_size
    return torch.tensor([image.size[1] / width, image.size[0] / height], device=device)
