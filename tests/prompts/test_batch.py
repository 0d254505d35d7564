import pytest
import torch

from edge_sam.prompts.batch import Prompts


def test_boxes_alone_have_no_points():
    prompts = Prompts.from_boxes(torch.rand(3, 4))
    assert len(prompts) == 3
    assert prompts.points_and_labels is None


def test_points_start_as_foreground():
    points, labels = Prompts.from_points(torch.rand(3, 2, 2)).points_and_labels
    assert points.shape == (3, 2, 2)
    assert labels.tolist() == [[1, 1]] * 3


def test_clicks_join_after_the_earlier_points():
    first = Prompts.from_points(torch.zeros(2, 1, 2))
    more = first.add_points(torch.ones(2, 2, 2), torch.tensor([[0, -2], [1, 0]]))
    points, labels = more.points_and_labels
    assert labels.tolist() == [[1, 0, -2], [1, 1, 0]]
    assert points[:, :, 0].tolist() == [[0, 1, 1], [0, 1, 1]]
    assert first.points.shape == (2, 1, 2), "the earlier prompts stay as they were"


def test_clicks_join_boxes():
    boxes = torch.rand(2, 4)
    prompts = Prompts.from_boxes(boxes).add_points(torch.ones(2, 1, 2), torch.ones(2, 1, dtype=torch.int64))
    assert torch.equal(prompts.boxes, boxes)
    assert prompts.points.shape == (2, 1, 2)


def test_to_moves_every_part():
    prompts = Prompts(torch.rand(1, 4), torch.rand(1, 1, 2), torch.ones(1, 1)).to("meta")
    assert {part.device.type for part in (prompts.boxes, prompts.points, prompts.labels)} == {"meta"}


@pytest.mark.parametrize(
    "parts",
    [
        (None, None, None),
        (torch.rand(2, 5), None, None),
        (None, torch.rand(2, 1, 2), None),
        (None, torch.rand(2, 1, 2), torch.ones(2, 2)),
        (None, torch.rand(2, 2), torch.ones(2)),
        (torch.rand(3, 4), torch.rand(2, 1, 2), torch.ones(2, 1)),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts):
    with pytest.raises(ValueError):
        Prompts(*parts)
