import pytest
import torch

from edge_sam.distill.pixel_grouping import SHARPNESS, THRESHOLD, grouping_logits, surroundings


def test_likeness_is_that_to_the_mean_of_the_masks_pixels():
    features = torch.zeros(2, 3, 2, 2)
    features[0, 0], features[1, 1] = 2.0, 5.0
    features[1, :, 0, 0] = torch.tensor([3.0, 0.0, 0.0])
    coverage = torch.zeros(2, 1, 2, 2)
    coverage[:, :, 1] = 1.0
    logits = grouping_logits(features, coverage, torch.tensor([0, 1]))
    assert logits.shape == (2, 1, 2, 2)
    cosine = logits / SHARPNESS + THRESHOLD
    torch.testing.assert_close(cosine[0, 0], torch.ones(2, 2))
    torch.testing.assert_close(cosine[1, 0], torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def test_a_pixel_counts_by_the_share_that_the_mask_covers():
    features = torch.eye(2)[None, :, None]  # two pixels of one row, at right angles
    logits = grouping_logits(features, torch.tensor([[[[1.0, 0.5]]]]), torch.tensor([0]))
    cosine = logits / SHARPNESS + THRESHOLD
    torch.testing.assert_close(cosine.flatten(), torch.tensor([2.0, 1.0]) / 5**0.5)


def test_likeness_stays_float32_under_autocast():
    torch.manual_seed(0)
    features, coverage = torch.randn(1, 64, 8, 8), torch.rand(3, 1, 8, 8)
    asked = (features, coverage, torch.zeros(3, dtype=torch.int64))
    with torch.autocast("cpu", torch.bfloat16):
        logits = grouping_logits(*asked)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, grouping_logits(*asked), rtol=0, atol=0)


def test_surroundings_are_the_box_and_a_margin():
    near = surroundings(torch.tensor([[40.0, 60.0, 80.0, 80.0]]), side=32, image_size=128)[0]
    rows, columns = near.nonzero().unbind(1)
    assert (columns.min() * 4 + 2, columns.max() * 4 + 2) == (30, 90)  # 40 - 6 - 4 to 80 + 6 + 4, pixels' centres
    assert (rows.min() * 4 + 2, rows.max() * 4 + 2) == (54, 86)  # 60 - 3 - 4 to 80 + 3 + 4
    assert near.sum() == 16 * 9


@pytest.mark.parametrize("place", [0.0, 63.9, 127.5])
def test_no_box_is_too_small_for_surroundings(place):
    box = torch.tensor([[place, place, place + 0.5, place + 0.5]])
    assert surroundings(box, side=32, image_size=128).any()
