import numpy as np
import pytest
import torch

from edge_sam.inference.predictor import stability_score as torch_stability_score
from edge_sam.modeling.registry import build_decoder
from edge_sam.modeling.sam import Sam
from edge_sam.runtime.masks import enlarged, stability_score


@pytest.mark.parametrize("original", [(48, 64), (200, 150), (1, 90), (90, 1), (7, 5), (1000, 3)])
def test_masks_are_enlarged_as_sam_does(original):
    sam = Sam(torch.nn.Identity(), *build_decoder(64))
    masks = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    size = tuple(max(1, int(side * 64 / max(original) + 0.5)) for side in original)
    expected = sam.postprocess_masks(masks, size, original)
    np.testing.assert_allclose(enlarged(masks.numpy(), 64, size, original), expected, atol=1e-4)


def test_stability_is_sams():
    masks = 3 * torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    masks[0, 0] = -9  # empty
    np.testing.assert_allclose(stability_score(masks.numpy()), torch_stability_score(masks), atol=1e-7)
