import numpy as np
import pytest
import torch

from edge_sam.distill.losses import (
    PromptLossWeights,
    embedding_mse,
    mask_bce,
    mask_dice,
    mask_focal,
    mask_iou,
    reciprocal_area,
    valid_area,
)

MASK_LOSSES = {"bce": mask_bce, "dice": mask_dice, "focal": mask_focal}


@pytest.fixture
def mask_valid():
    valid = torch.zeros(6, 64, 64, dtype=torch.bool)
    valid[:2, :40] = True
    valid[2:, :, :50] = True
    return valid


@pytest.mark.parametrize("name", MASK_LOSSES)
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("area", ["novalid", "valid"])
def test_mask_losses_match_golden(golden, golden_input, mask_valid, name, kind, area):
    arrays = golden("training")
    student = (golden_input("student_logits", 6, 4, 64, 64) * 3).requires_grad_()
    teacher = golden_input("teacher_logits", 6, 4, 64, 64) * 3
    target = teacher > 0 if kind == "hard" else teacher.sigmoid()
    loss = MASK_LOSSES[name](student, target, mask_valid if area == "valid" else None).mean()
    loss.backward()
    expected = arrays[f"{name}_{kind}_{area}_grad"]
    np.testing.assert_allclose(loss.detach(), arrays[f"{name}_{kind}_{area}"], rtol=1e-6)
    np.testing.assert_allclose(student.grad[:, :, ::8, ::8], expected, atol=2e-6 * np.abs(expected).max())


def test_embedding_loss_matches_golden(golden, golden_input):
    arrays = golden("training")
    student = golden_input("student_embedding", 2, 256, 64, 64).requires_grad_()
    teacher = golden_input("teacher_embedding", 2, 256, 64, 64)
    valid = valid_area(torch.from_numpy(arrays["pixel_mse_sizes"]), (64, 64), 1024)
    loss = embedding_mse(student, teacher, valid)
    loss.backward()
    expected = arrays["pixel_mse_grad"]
    np.testing.assert_allclose(loss.detach(), arrays["pixel_mse"], rtol=1e-6)
    np.testing.assert_allclose(student.grad[:, ::16, ::8, ::8], expected, atol=2e-6 * np.abs(expected).max())


def test_valid_area_counts_partly_covered_cells():
    valid = valid_area(torch.tensor([[33, 64], [64, 32], [1, 64]]), (4, 4), 64)
    assert valid.sum(dim=1)[:, 0].tolist() == [3, 4, 1]
    assert valid.sum(dim=2)[:, 0].tolist() == [4, 2, 4]


def test_embedding_loss_of_halves_with_shared_area_is_that_of_the_whole():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 8, 4, 4, generator=generator)
    valid = valid_area(torch.tensor([[16, 64], [64, 32], [40, 64], [64, 64]]), (4, 4), 64)
    area = reciprocal_area(valid)
    halves = [embedding_mse(student[part], teacher[part], valid[part], area) for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, embedding_mse(student, teacher, valid))


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_padding_does_not_matter(name, mask_valid):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, 64, 64, generator=generator)
    target = torch.rand(6, 4, 64, 64, generator=generator) > 0.5
    padding = ~mask_valid[:, None]
    other = MASK_LOSSES[name](logits + 9 * padding, target ^ padding, mask_valid)
    assert torch.equal(other, MASK_LOSSES[name](logits, target, mask_valid))


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_mask_losses_stay_in_float32_under_autocast(name, mask_valid):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, 64, 64, generator=generator).bfloat16()
    target = torch.rand(6, 4, 64, 64, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = MASK_LOSSES[name](logits, target, mask_valid)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, MASK_LOSSES[name](logits.float(), target, mask_valid))


def test_empty_mask_met_by_an_empty_one_costs_no_dice():
    assert mask_dice(torch.full((1, 1, 8, 8), -50.0), torch.zeros(1, 1, 8, 8, dtype=torch.bool)) == 0


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_a_target_stands_for_all_masks_of_its_prompt(name, mask_valid):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, 64, 64, generator=generator)
    target = torch.rand(6, 1, 64, 64, generator=generator)
    losses = MASK_LOSSES[name](logits, target, mask_valid)
    assert losses.shape == (6, 4)
    torch.testing.assert_close(losses, MASK_LOSSES[name](logits, target.expand(-1, 4, -1, -1), mask_valid))
    for number in range(4):
        alone = MASK_LOSSES[name](logits[2:3, number : number + 1], target[2:3], mask_valid[2:3])
        torch.testing.assert_close(losses[2:3, number : number + 1], alone)


def test_weighted_losses_have_names_and_leave_out_what_has_no_weight(mask_valid):
    logits, target = torch.randn(6, 4, 64, 64), torch.rand(6, 1, 64, 64)
    losses = PromptLossWeights(bce=2, dice=0, focal=3, iou=1).of_masks(logits, target, mask_valid)
    assert list(losses) == ["bce", "focal"]
    torch.testing.assert_close(losses["bce"], 2 * mask_bce(logits, target, mask_valid))
    torch.testing.assert_close(losses["focal"], 3 * mask_focal(logits, target, mask_valid))


def test_iou_counts_what_a_pixel_is_covered():
    predicted = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    predicted[0, 0, 0, :2] = True  # two of the three covered pixels
    predicted[0, 1, 3] = True  # the padding
    coverage = torch.zeros(1, 1, 4, 4)
    coverage[0, 0, 0, :3] = torch.tensor([1.0, 0.5, 0.25])
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[:, 3] = False
    # minima 1 + 0.5, maxima 1 + 1 + 0.25
    torch.testing.assert_close(mask_iou(predicted, coverage, valid), torch.tensor([[1.5 / 2.25, 0.0, 0.0]]))
    assert mask_iou(predicted[:, 2:], torch.zeros_like(coverage), valid) == 0  # nothing and nothing


def test_iou_of_whole_pixels_is_that_of_sets(mask_valid):
    generator = torch.Generator().manual_seed(0)
    predicted, target = (torch.rand(6, k, 64, 64, generator=generator) > 0.6 for k in (4, 1))
    inside = mask_valid[:, None]
    expected = (predicted & target & inside).sum((2, 3)) / ((predicted | target) & inside).sum((2, 3))
    torch.testing.assert_close(mask_iou(predicted, target, mask_valid), expected)


def test_iou_stays_in_float32_under_autocast(mask_valid):
    generator = torch.Generator().manual_seed(0)
    predicted = torch.rand(6, 4, 64, 64, generator=generator) > 0.6
    coverage = torch.rand(6, 1, 64, 64, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mask_iou(predicted, coverage, mask_valid)
    assert torch.equal(found, mask_iou(predicted, coverage, mask_valid))
