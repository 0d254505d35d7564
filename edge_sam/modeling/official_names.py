"""What our tensors are called in official checkpoints, and in which order they stand there."""

import re

from torch import nn

from edge_sam.modeling.repvit import RepViTImageEncoder
from edge_sam.modeling.sam import Sam
from edge_sam.modeling.sam_vit import SamViTImageEncoder

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
"""The three parts of a model; their names followed by a dot begin every name of a whole checkpoint."""


def official_names(module: nn.Module) -> dict[str, str]:
    """Return official name -> our name of every tensor of ``module``, in the order of the official file.

    Args:
        module: a :class:`Sam` (names begin with the part) or one of its parts (they do not).
    """
    if isinstance(module, Sam):
        names = {
            f"{part}.{official}": f"{part}.{own}"
            for part in PARTS
            for official, own in official_names(getattr(module, part)).items()
        }
        is_edge_sam = isinstance(module.image_encoder, RepViTImageEncoder)
        return {_values_first(name): names[_values_first(name)] for name in names} if is_edge_sam else names
    if isinstance(module, RepViTImageEncoder):
        depths = [len(stage.blocks) for stage in module.trunk.stages]
        return {_repvit_name(own, depths): own for own in module.state_dict()}
    if isinstance(module, SamViTImageEncoder):
        return {own.removeprefix("trunk.").replace(".mlp.fc", ".mlp.lin"): own for own in module.state_dict()}
    return {own: own for own in module.state_dict()}


_REPVIT_NAMES = {
    "fusion.stride16.": "fuse_stage2.",
    "fusion.stride32.": "fuse_stage3.op_list.0.",
    "trunk.stem.conv1.": "features.0.0.",
    "trunk.stem.conv2.": "features.0.2.",
    ".token_mixer.": ".token_mixer.0.",
    ".se.": ".token_mixer.1.",
    ".spatial_downsample.": ".token_mixer.0.",
    ".channel_downsample.": ".token_mixer.2.",
    ".ffn.conv1.": ".channel_mixer.m.0.",
    ".ffn.conv2.": ".channel_mixer.m.2.",
    ".channel_mixer.conv1.": ".channel_mixer.m.0.",
    ".channel_mixer.conv2.": ".channel_mixer.m.2.",
}


def _repvit_name(own: str, depths: list[int]) -> str:
    """Name a tensor of the student as its authors do, who number the stem and the blocks of all stages 0, 1, 2, ...

    What timm calls a stage's ``downsample`` is two blocks there: its ``pre_block``, then the rest.
    """
    for mine, theirs in _REPVIT_NAMES.items():
        if mine in own:
            own = own.replace(mine, theirs)
            break
    match = re.match(r"trunk\.stages\.(\d+)\.(downsample|blocks)\.(pre_block\.|\d+\.)?", own)
    if match is None:
        return own
    stage = int(match[1])
    first = 1 + sum(depths[:stage]) + 2 * max(stage - 1, 0)
    if match[2] == "downsample":
        block = first if match[3] else first + 1
    else:
        block = first + (2 if stage else 0) + int(match[3][:-1])
    return f"features.{block}.{own[match.end() :]}"


def _values_first(name: str) -> str:
    """Swap the names of keys and values: EdgeSAM's files hold ``v_proj`` before ``k_proj``, SAM's after it."""
    return re.sub(r"\.([kv])_proj\.", lambda match: f".{'v' if match[1] == 'k' else 'k'}_proj.", name)
