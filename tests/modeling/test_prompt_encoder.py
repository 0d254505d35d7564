import pytest
import torch

from edge_sam.modeling.checkpoints import load_official, split_state
from edge_sam.modeling.prompt_encoder import PromptEncoder

CASES = ["points", "points_ignore", "boxes", "points_boxes", "boxes_mask", "points_boxes_mask"]


def small_encoder() -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(image_embedding_size=(16, 16), input_image_size=(256, 256))


@pytest.fixture(scope="module")
def golden_encoder(golden_state):
    encoder = PromptEncoder()
    load_official(encoder, split_state(golden_state("edge_sam"))["prompt_encoder"], "golden")
    return encoder


def golden_prompts(case: str, arrays, golden_input):
    points = torch.from_numpy(arrays["in_points"])
    labels = torch.from_numpy(arrays["in_labels_ignore" if case == "points_ignore" else "in_labels"])
    return (
        (points, labels) if "points" in case else None,
        torch.from_numpy(arrays["in_boxes"]) if "boxes" in case else None,
        golden_input("mask_prompt", 3, 1, 256, 256) if "mask" in case else None,
    )


@torch.no_grad()
def test_the_position_encoding_of_the_image_is_the_golden_one(golden_encoder, golden):
    dense = golden_encoder.get_dense_pe()
    torch.testing.assert_close(
        dense[..., ::4, ::4], torch.from_numpy(golden("edge_sam")["dense_pe"]), atol=1e-5, rtol=0
    )


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_prompts_become_the_golden_tokens(case, golden_encoder, golden, golden_input):
    arrays = golden("edge_sam")
    sparse, dense = golden_encoder(*golden_prompts(case, arrays, golden_input))
    expected = torch.from_numpy(arrays[f"prompt_{case}_sparse"])
    torch.testing.assert_close(sparse, expected, atol=1e-5, rtol=0)
    expected = torch.from_numpy(arrays[f"prompt_{case}_dense"])
    torch.testing.assert_close(dense[:, ::8, ::8, ::8], expected, atol=1e-5, rtol=0)


def test_each_kind_of_prompt_has_its_number_of_tokens():
    encoder = small_encoder()
    points = (torch.rand(3, 2, 2) * 256, torch.ones(3, 2, dtype=torch.long))
    boxes = torch.rand(3, 4) * 256
    assert encoder(points, None, None)[0].shape == (3, 3, 256)  # two points and the padding point
    assert encoder(points, boxes, None)[0].shape == (3, 4, 256)
    assert encoder(None, boxes, None)[0].shape == (3, 2, 256)
    sparse, dense = encoder(None, None, torch.zeros(5, 1, 64, 64))
    assert sparse.shape == (5, 0, 256)
    assert dense.shape == (5, 256, 16, 16)


def test_the_place_of_padding_and_ignored_points_does_not_matter():
    encoder = small_encoder()
    labels = torch.tensor([[1, -1, -2]])
    here, _ = encoder((torch.tensor([[[9.0, 9.0], [0.0, 0.0], [0.0, 0.0]]]), labels), None, None)
    there, _ = encoder((torch.tensor([[[9.0, 9.0], [77.0, 8.0], [200.0, 3.0]]]), labels), None, None)
    torch.testing.assert_close(here, there)
    assert (here[0, 2] == 0).all()
    assert torch.equal(here[0, 1], encoder.not_a_point_embed.weight[0])


def test_a_box_is_two_corners():
    encoder = small_encoder()
    box = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    corners, _ = encoder(None, box, None)
    as_points, _ = encoder((box.view(1, 2, 2), torch.tensor([[1, 1]])), None, None)
    foreground = encoder.point_embeddings[1].weight
    for corner, kind in ((0, 2), (1, 3)):
        expected = as_points[0, corner] - foreground[0] + encoder.point_embeddings[kind].weight[0]
        torch.testing.assert_close(corners[0, corner], expected)


def test_a_point_in_the_middle_of_a_cell_has_the_encoding_of_that_cell():
    encoder = small_encoder()
    dense = encoder.get_dense_pe()
    centre = torch.tensor([[[5 * 16 + 7.5, 2 * 16 + 7.5]]])  # + 0.5 is the middle of column 5, row 2
    token, _ = encoder((centre, torch.tensor([[1]])), None, None)
    torch.testing.assert_close(token[0, 0], dense[0, :, 2, 5] + encoder.point_embeddings[1].weight[0])


def test_coordinates_keep_their_precision_under_autocast():
    encoder = small_encoder()
    points = (torch.rand(4, 3, 2) * 256, torch.ones(4, 3, dtype=torch.long))
    exact, _ = encoder(points, None, None)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = encoder(points, None, None)
    torch.testing.assert_close(cast.float(), exact, atol=1e-6, rtol=0)


def test_gradients_reach_what_was_used():
    encoder = small_encoder()
    sparse, dense = encoder((torch.rand(2, 1, 2), torch.tensor([[0], [1]])), None, torch.rand(2, 1, 64, 64))
    (sparse.sum() + dense.sum()).backward()
    for used in (encoder.point_embeddings[0], encoder.point_embeddings[1], encoder.not_a_point_embed):
        assert used.weight.grad.abs().sum() > 0
    assert encoder.mask_downscaling[0].weight.grad is not None
