"""The student: timm's RepViT trunk, a fusion of its last two strides, and SAM's neck (EdgeSAM paper, section 3.1)."""

from typing import Literal, cast

import timm
import torch.nn.functional as F
from timm.models.repvit import RepVggDw
from torch import Tensor, nn

from edge_sam.modeling.channel_scale import ChannelScale
from edge_sam.modeling.common import Neck
from edge_sam.modeling.recompute import recomputed

UpsampleMode = Literal["bicubic", "bilinear"]


class FeatureFusion(nn.Module):
    """Sum of a stride-16 map and an upsampled stride-32 map, both brought to 256 channels by 1x1 convolutions.

    Any backbone that gives these two maps can stand before it, e.g. one of timm's ``features_only`` models.
    """

    def __init__(
        self, stride16_channels: int, stride32_channels: int, upsample_mode: UpsampleMode, out_channels: int = 256
    ) -> None:
        super().__init__()
        self.upsample_mode = upsample_mode
        self.stride16 = nn.Conv2d(stride16_channels, out_channels, kernel_size=1, bias=False)
        self.stride32 = nn.Conv2d(stride32_channels, out_channels, kernel_size=1, bias=False)

    def forward(self, stride16: Tensor, stride32: Tensor) -> Tensor:
        """Fuse (B, C, h, w) and (B, C', h/2, w/2) into (B, 256, h, w)."""
        coarse = F.interpolate(self.stride32(stride32), scale_factor=2, mode=self.upsample_mode, align_corners=False)
        return cast(Tensor, self.stride16(stride16) + coarse)


class RepViTImageEncoder(nn.Module):
    """RepViT-M1, M2 or M3 as an image encoder.

    Args:
        arch: ``m1``, ``m2`` or ``m3`` (Wang et al. 2023, first version: blocks are a sum of two branches and identity).
        image_size: side of the square input, a multiple of 32, in pixels.
        fuse: fuse strides 16 and 32; without it the last stage runs at stride 16.
        upsample_mode: how the stride-32 map is enlarged. A network trained with one is another network with the other.
        use_checkpoint: recompute the stages in the backward pass instead of keeping their activations.
    """

    def __init__(
        self,
        arch: Literal["m1", "m2", "m3"] = "m1",
        image_size: int = 1024,
        fuse: bool = True,
        upsample_mode: UpsampleMode = "bicubic",
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.arch = arch
        self.image_size = image_size
        self.use_checkpoint = use_checkpoint
        self.trunk = timm.create_model(f"repvit_{arch}", num_classes=0)
        self.trunk.head = nn.Identity()
        for block in self.trunk.modules():
            if isinstance(block, RepVggDw):
                block.conv1.c = ChannelScale.of(block.conv1.c)
        *_, stride16_channels, stride32_channels = self.trunk.embed_dim
        self.fusion = FeatureFusion(stride16_channels, stride32_channels, upsample_mode) if fuse else None
        self.neck = Neck(256 if fuse else stride32_channels)
        if not fuse:
            self.trunk.stages[-1].downsample.spatial_downsample.c.stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised images (B, 3, s, s) as (B, 256, s/16, s/16)."""
        stride16, last = self._features(images)
        out: Tensor = self.neck(last if self.fusion is None else self.fusion(stride16, last))
        return out

    def _features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map before the last downsampling, (B, C, s/16, s/16), and the last map.

        The first one is the output of the last downsampling's own first block, one block later than what timm's
        ``features_only`` gives for that stride.
        """
        x = self.trunk.stem(images)
        *stages, last_stage = self.trunk.stages
        for stage in stages:
            x = self._run(stage, x)
        downsample = last_stage.downsample
        stride16 = self._run(downsample.pre_block, x)
        x = self._run(downsample.spatial_downsample, stride16)
        x = self._run(downsample.channel_downsample, x)
        x = x + self._run(downsample.ffn, x)
        return stride16, self._run(last_stage.blocks, x)

    def _run(self, part: nn.Module, x: Tensor) -> Tensor:
        return recomputed(part, x) if self.use_checkpoint else cast(Tensor, part(x))
