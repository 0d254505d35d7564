"""AdamW without weight decay where decay has no meaning."""

from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW


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
