import numpy as np
import pytest
import torch

from edge_sam.distill.losses import (
    embedding_mse,
    mask_bce,
    mask_dice,
    mask_focal,
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
    loss = MASK_LOSSES[name](student, target, mask_valid if area == "valid" else None)
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
    assert other == MASK_LOSSES[name](logits, target, mask_valid)


@pytest.mark.parametrize("name", MASK_LOSSES)
def test_mask_losses_stay_in_float32_under_autocast(name, mask_valid):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, 64, 64, generator=generator).bfloat16()
    target = torch.rand(6, 4, 64, 64, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = MASK_LOSSES[name](logits, target, mask_valid)
    assert loss.dtype == torch.float32
    assert loss == MASK_LOSSES[name](logits.float(), target, mask_valid)


def test_empty_mask_met_by_an_empty_one_costs_no_dice():
    assert mask_dice(torch.full((1, 1, 8, 8), -50.0), torch.zeros(1, 1, 8, 8, dtype=torch.bool)) == 0
