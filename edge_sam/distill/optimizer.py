"""AdamW without weight decay where decay has no meaning."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

from edge_sam.errors import EdgeSamError


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split the trainable parameters by whether they decay.

    Norms and biases, which are the parameters with one dimension, do not; frozen parameters are left out.

    Returns:
        Two groups for an optimizer, in the module's order: with ``weight_decay``, and without.
    """
    decayed: list[Parameter] = []
    spared: list[Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (spared if parameter.ndim <= 1 else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def build_optimizer(module: nn.Module, weight_decay: float, betas: tuple[float, float], eps: float) -> AdamW:
    """Return AdamW over the trainable parameters of ``module``; its rate is set before every step."""
    return AdamW(parameter_groups(module, weight_decay), lr=0.0, betas=betas, eps=eps, fused=True)


def load_moments(optimizer: Optimizer, saved: Mapping[str, Any], source: str) -> None:
    """Go on with the moments of a saved state dict, by the settings (weight decay, betas, ...) of ``optimizer`` itself.

    Args:
        optimizer: over the same parameters as the saved one.
        saved: what ``optimizer.state_dict()`` gave.
        source: the file, for the error.

    Raises:
        EdgeSamError: the saved state is of other parameters.
    """
    groups = optimizer.state_dict()["param_groups"]
    shapes = [parameter.shape for group in optimizer.param_groups for parameter in group["params"]]
    found = [len(group["params"]) for group in saved["param_groups"]]
    expected = [len(group["params"]) for group in groups]
    moments = saved["state"]
    if found != expected or any(state["exp_avg"].shape != shapes[index] for index, state in moments.items()):
        raise EdgeSamError(
            f"{source}: its run trained {sum(found)} tensors, this one {sum(expected)} or others: DISTILL.DECODER_IOU, "
            "MULTIMASK_OUTPUT, MULTIMASK_ON_BOX and PROMPT_TYPE decide which: use the same as then, or another --tag"
        )
    moments = copy.deepcopy(moments)  # they may be mapped, and must outlive their file
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
