import numpy as np
import pytest
import torch

from edge_sam.data.transforms import resized_size as resized_for_training
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.registry import build_decoder
from edge_sam.modeling.sam import Sam
from edge_sam.runtime.pictures import normalised_square, resized_size


class Pixels(torch.nn.Module):
    """An image encoder that gives the pixels it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


@pytest.mark.parametrize("size", [(48, 64), (200, 150), (1, 90), (64, 64)])
def test_the_network_is_given_what_the_predictor_gives_it(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    predictor = SamPredictor(Sam(Pixels(), *build_decoder(64)))
    predictor.set_image(pixels)
    np.testing.assert_allclose(normalised_square(pixels, 64), predictor.get_image_embedding(), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (427, 640), (3, 2000), (1365, 2048), (333, 999)])
def test_sides_round_as_in_training(size):
    assert resized_size(*size, 1024) == resized_for_training(*size, 1024)
