import torch

from edge_sam.evaluation.answers import AskedImage, choose
from edge_sam.prompts.batch import Prompts
from tests.evaluation.disc_sam import DiscSam


def chosen(masks, scores, select, inside):
    return masks[torch.arange(len(masks))[:, None], choose(masks, scores, select, inside)]


def test_select_by_score_and_by_area_without_padding():
    masks = torch.full((2, 3, 8, 8), -1.0)
    masks[0, 1, :2] = 1
    masks[0, 2, 6:] = 1
    masks[0, 2, 5:, :3] = 1
    masks[1, 0, 0] = 1
    scores = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.2, 0.9]])
    assert torch.equal(chosen(masks, scores, "score", (8, 8)), masks[[0, 1], [0, 2]][:, None])
    assert torch.equal(chosen(masks, scores, "area", (8, 8)), masks[[0, 1], [2, 0]][:, None])
    assert torch.equal(chosen(masks, scores, "area", (5, 8)), masks[[0, 1], [1, 0]][:, None])
    assert torch.equal(chosen(masks, scores, "oracle", (8, 8)), masks)
    assert torch.equal(chosen(masks[:, :1], scores[:, :1], "area", (8, 8)), masks[:, :1])


def test_select_by_stability_without_padding():
    """The second mask keeps its size between the thresholds -1 and 1, but for a shade in the padding."""
    masks = torch.full((1, 3, 8, 8), -9.0)
    masks[0, 0, :4] = 0.5
    masks[0, 1, :2] = 1.5
    masks[0, 1, 6:] = 0.5
    masks[0, 2, :2], masks[0, 2, 2] = 1.5, -0.5
    scores = torch.tensor([[0.9, 0.1, 0.2]])
    assert torch.equal(chosen(masks, scores, "stability", (6, 8)), masks[:, 1:2])
    assert torch.equal(chosen(masks, scores, "stability", (8, 8)), masks[:, 2:3])


def test_the_score_is_that_of_the_chosen_mask():
    prompts = Prompts.from_boxes(torch.tensor([[20.0, 20, 60, 60], [100, 100, 200, 200]]))
    asked = AskedImage(DiscSam().eval(), torch.zeros(1, 256, 16, 16), (256, 256))
    answers = asked.answer(prompts, 3, "area")
    assert answers.masks.shape == (2, 1, 64, 64) and not answers.failed.any()
    # Of the discs of radius 8, 45 and 25 the middle one is the largest.
    assert torch.equal(answers.scores, torch.full((2, 1), 0.9))
    every = asked.answer(prompts, 3, "oracle")
    assert torch.equal(every.masks[:, 1:2], answers.masks) and every.scores.shape == (2, 3)


def test_no_number_is_an_empty_mask_and_a_failure():
    prompts = Prompts.from_boxes(torch.tensor([[20.0, 20, 60, 60], [torch.nan, 100, 200, 200]]))
    answers = AskedImage(DiscSam().eval(), torch.zeros(1, 256, 16, 16), (256, 256)).answer(prompts, 1, "score")
    assert answers.failed.tolist() == [False, True]
    assert (answers.masks[0] > 0).any() and (answers.masks[1] == -1).all()
