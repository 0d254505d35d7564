import numpy as np
import pytest
import torch

from edge_sam.export.pictures import draw_pictures
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import Sam
from tests.modeling.test_folding import with_lively_norms

SIZE = 128


@pytest.fixture(scope="session")
def sam() -> Sam:
    """A small EdgeSAM whose masks are neither empty nor full, whose norms do something."""
    torch.manual_seed(0)
    made = build_sam("rep_vit_m1", SIZE).eval()
    with_lively_norms(made.image_encoder)
    return made


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    return draw_pictures(2, 160)
