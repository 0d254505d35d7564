"""What a task does not train: parts that the configuration froze, and what no loss of the prompt loop reaches."""

from collections.abc import Iterable

from torch import nn

from edge_sam.distill.losses import PromptLossWeights
from edge_sam.distill.prompt_loop import PromptLoop
from edge_sam.modeling.sam import Sam

_NUMBERS_OF_MASKS = {1: {0}, 3: {1, 2, 3}, 4: {0, 1, 2, 3}}


def is_frozen(module: nn.Module) -> bool:
    """Whether no parameter of a module learns."""
    return not any(parameter.requires_grad for parameter in module.parameters())


def keep_frozen_in_evaluation_mode(parts: Iterable[nn.Module]) -> None:
    """Put the frozen ones among ``parts`` into evaluation mode, which keeps their batch statistics."""
    for part in parts:
        if is_frozen(part):
            part.eval()


def freeze_unreached(student: Sam, loop: PromptLoop, weights: PromptLossWeights) -> None:
    """Freeze what no loss reaches, so that weight decay alone does not wear it down.

    That is the mask prompt's encoder, the IoU head unless the IoU is matched, and the networks of masks that no step
    compares.
    """
    student.prompt_encoder.mask_downscaling.requires_grad_(False)
    decoder = student.mask_decoder
    if not weights.iou:
        decoder.iou_prediction_head.requires_grad_(False)
    counts = {loop.masks_from(first) for first in loop.first_prompts}
    reached = set().union(*(_NUMBERS_OF_MASKS[count] for count in counts))
    for number, network in enumerate(decoder.output_hypernetworks_mlps):
        if number not in reached:
            network.requires_grad_(False)
