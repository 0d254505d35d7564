"""Which network tensors belong to, told by their official names and shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.repvit import UpsampleMode

OFFICIAL_IMAGE_SIZE = 1024

_SAM_TYPES = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""By the channels of the trunk."""

_REPVIT_TYPES = {24: "rep_vit_m2", 26: "rep_vit_m1", 34: "rep_vit_m3"}
"""By the number of the last block."""


@dataclass(frozen=True)
class Network:
    """What makes two networks with tensors of the same names different ones.

    Attributes:
        model_type: as in :func:`edge_sam.modeling.registry.build_sam`.
        image_size: side of the square input, in pixels.
        fuse: EdgeSAM only.
        upsample_mode: EdgeSAM only.
    """

    model_type: str
    image_size: int = OFFICIAL_IMAGE_SIZE
    fuse: bool = True
    upsample_mode: UpsampleMode = "bicubic"

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The same as sections of a configuration."""
        return {
            "MODEL": {"TYPE": self.model_type},
            "DATA": {"IMG_SIZE": self.image_size},
            "DISTILL": {"FUSE": self.fuse, "UPSAMPLE_MODE": self.upsample_mode},
        }

    @property
    def in_words(self) -> str:
        """The same in a few words, without what says nothing of this type."""
        words = f"{self.model_type}, {self.image_size} px"
        if self.model_type.startswith("rep_vit"):
            words += f", {self.upsample_mode} upsampling" if self.fuse else ", no fusion"
        return words


def recognise_network(state: Mapping[str, Tensor], source: str) -> Network:
    """Recognise a network by its image encoder.

    Neither the image size nor the way to upsample shows in tensors: those of the official files are taken.

    Args:
        state: a whole checkpoint, or an image encoder alone, with official names.
        source: where it comes from, for the error.

    Raises:
        EdgeSamError: not the tensors of a known image encoder.
    """
    names = {name.removeprefix("image_encoder."): tensor for name, tensor in state.items()}
    if "patch_embed.seq.0.c.weight" in names:
        return Network("vit_t")
    if "pos_embed" in names:
        channels = names["pos_embed"].shape[-1]
        if channels in _SAM_TYPES:
            return Network(_SAM_TYPES[channels])
    blocks = [int(match[1]) for name in names if (match := re.match(r"features\.(\d+)\.", name))]
    if blocks and max(blocks) in _REPVIT_TYPES and any(name.startswith("neck.") for name in names):
        return Network(_REPVIT_TYPES[max(blocks)], fuse="fuse_stage2.weight" in names)
    first = next(iter(state), "none")
    raise EdgeSamError(
        f"{source}: not the tensors of a known model (the first is {first}); "
        f"known are {', '.join([*_SAM_TYPES.values(), 'vit_t', *sorted(_REPVIT_TYPES.values())])}"
    )
