import numpy as np
import pytest

from edge_sam.synthesis.backdrops import BACKDROPS
from edge_sam.synthesis.canvas import ROOT, Canvas
from edge_sam.synthesis.light import draw_light
from edge_sam.synthesis.randomness import Randomness


@pytest.mark.parametrize("backdrop", BACKDROPS, ids=lambda backdrop: backdrop.__name__)
@pytest.mark.parametrize("size", [(96, 128), (256, 160)])
def test_backdrops_fill_the_picture(backdrop, size):
    for seed in range(4):
        random = Randomness(seed)
        canvas = Canvas(*size, draw_light(random))
        stage = backdrop(canvas, random)
        assert canvas.picture.shape == (*size, 3)
        assert not (canvas.owners == ROOT).any(), "every pixel of stuff has a mask"
        assert stage.builders
        assert stage.horizon is None or 0 < stage.horizon < size[0]
        assert np.ptp(canvas.picture) > 10
