"""AdamW without weight decay where decay has no meaning."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

from edge_sam.errors import EdgeSamError

_DECODER_PARTS = ("prompt_encoder.", "mask_decoder.")


def parameter_groups(module: nn.Module, weight_decay: float, decoder_lr_scale: float = 1.0) -> list[dict[str, object]]:
    """Split the trainable parameters by whether they decay, and by the rate at which they learn.

    Norms and biases, which are the parameters with one dimension, do not decay; frozen parameters are left out.

    Args:
        module: a task or a model.
        weight_decay: of those that decay.
        decoder_lr_scale: rate of prompt encoder and mask decoder relative to the others'.

    Returns:
        Groups for an optimizer, each in the module's order: with ``weight_decay``, then without; of each the ones that
        learn at the full rate (``lr_scale`` 1), then the decoder's where that differs. So the parameters have the same
        order whatever the scale.
    """
    groups: dict[tuple[bool, float], list[Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            scale = decoder_lr_scale if any(part in name for part in _DECODER_PARTS) else 1.0
            groups.setdefault((parameter.ndim > 1, scale), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0, "lr_scale": scale}
        for (decays, scale), parameters in sorted(groups.items(), key=lambda group: not group[0][0])
    ]


def build_optimizer(
    module: nn.Module, weight_decay: float, betas: tuple[float, float], eps: float, decoder_lr_scale: float = 1.0
) -> AdamW:
    """Return AdamW over the trainable parameters; each group's rate is set before every step, by its ``lr_scale``."""
    groups = parameter_groups(module, weight_decay, decoder_lr_scale)
    return AdamW(groups, lr=0.0, betas=betas, eps=eps, fused=True)


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
    found, expected = sum(len(group["params"]) for group in saved["param_groups"]), len(shapes)
    moments = saved["state"]
    if found != expected or any(state["exp_avg"].shape != shapes[index] for index, state in moments.items()):
        raise EdgeSamError(
            f"{source}: its run trained {found} tensors, this one {expected} or others: DISTILL.DECODER_IOU, "
            "MULTIMASK_OUTPUT, MULTIMASK_ON_BOX and PROMPT_TYPE decide which: use the same as then, or another --tag"
        )
    moments = copy.deepcopy(moments)  # they may be mapped, and must outlive their file
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
