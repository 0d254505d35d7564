"""A teacher that costs nothing, and pictures for it."""

import numpy as np
import pytest
import torch
from torch import nn

from edge_sam.distributed import World
from edge_sam.embeddings.images import PREPROCESSING, TeacherImages
from edge_sam.embeddings.store import StoreSpec
from edge_sam.embeddings.teacher import Teacher
from tests.synthetic import write_sa1b

ALONE = World(0, 1, torch.device("cpu"))
SPEC = StoreSpec(
    teacher_type="vit_t", teacher_sha256="1" * 64, fuse=None, upsample_mode=None, image_size=256,
    preprocessing=PREPROCESSING, precision="float32", dtype="float16",
)  # fmt: skip


class PatchMean(nn.Module):
    """The mean colour of each patch, times a number for every channel."""

    def __init__(self) -> None:
        super().__init__()
        gains = np.random.default_rng(0).standard_normal((256, 3)).astype(np.float32)
        self.gains = nn.Parameter(torch.from_numpy(gains))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training and not torch.is_grad_enabled()
        return torch.einsum("ck,nkhw->nchw", self.gains, nn.functional.avg_pool2d(images, 16))


@pytest.fixture
def teacher():
    return Teacher(PatchMean(), torch.device("cpu"), "float32")


@pytest.fixture
def sa1b(tmp_path):
    """Ten pictures, of which number 4 is cut off and number 7 is no picture."""
    root = write_sa1b(tmp_path / "SA-1B", "train", 10)
    cut = root / "images" / "train" / "sa_0_004.jpg"
    cut.write_bytes(cut.read_bytes()[:2000])
    (root / "images" / "train" / "sa_0_007.jpg").write_text("not a picture")
    return root


@pytest.fixture
def images(sa1b):
    return TeacherImages(sa1b, "train", image_size=256)
