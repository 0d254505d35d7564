"""A Sam at 256 px whose encoder costs nothing."""

import torch
from torch import nn

from edge_sam.modeling.registry import build_decoder
from edge_sam.modeling.sam import Sam


class SmallEncoder(nn.Module):
    image_size = 256

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 256, 16, stride=16)
        self.norm = nn.BatchNorm2d(256)

    def forward(self, images):
        return self.norm(self.patches(images))


def small_sam(seed: int) -> Sam:
    torch.manual_seed(seed)
    sam = Sam(SmallEncoder(), *build_decoder(256))
    sam.prompt_encoder.requires_grad_(False)
    return sam
