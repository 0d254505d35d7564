import base64
import io

import numpy as np
import pytest
from PIL import Image

from edge_sam.demo.examples import Answer, Example
from edge_sam.demo.pictures import photograph, with_all_masks, with_answer, with_prompt, with_truth
from edge_sam.pages.pictures import WIDTH, shown_size


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


@pytest.fixture
def example():
    picture = np.full((120, 160, 3), 200, np.uint8)
    truth = np.zeros((120, 160), bool)
    truth[30:90, 40:80] = True
    return Example("a", picture, 0, "centre point", truth, np.array([40.0, 30.0, 80.0, 90.0]), np.array([60.0, 60.0]))


def test_all_panels_are_of_one_size(example):
    found = Answer(example.truth, 1.0, np.zeros((1, 2)), np.ones(1, int))
    uris = [photograph(example), with_prompt(example), with_truth(example), with_answer(example, found, (0, 0, 255))]
    assert {decoded(uri).shape for uri in uris} == {(240, WIDTH, 3)}
    assert shown_size(example.picture) == (WIDTH, 240)


def test_a_mask_is_bright_inside_dim_outside_and_bordered(example):
    drawn = decoded(with_answer(example, Answer(example.truth, 1.0, np.zeros((0, 2)), np.zeros(0, int)), (0, 0, 255)))
    inside, outside, border = drawn[120, 120], drawn[20, 20], drawn[120, 81]
    assert inside.mean() > 1.5 * outside.mean()
    assert border[2] > border[0] + 60


@pytest.mark.parametrize(("kind", "place"), [("centre point", (120, 120)), ("box", (61, 120))])
def test_the_prompt_is_drawn_where_it_is(example, kind, place):
    prompted = Example(**{**vars(example), "kind": kind})
    red, green, blue = decoded(with_prompt(prompted))[place]
    assert min(red, green) > 150
    assert blue < 110
    assert np.abs(decoded(with_prompt(prompted))[200, 280] - 200).max() < 6


def test_clicks_after_the_first_prompt_are_drawn_by_their_label(example):
    points = np.array([[60.0, 60.0], [20.0, 20.0], [140.0, 100.0]])
    drawn = decoded(with_answer(example, Answer(example.truth, 0.5, points, np.array([1, 1, 0])), (0, 0, 255)))
    yellow, red = drawn[40, 40], drawn[200, 280]
    assert yellow[1] > 150 > yellow[2]
    assert red[0] > 150 > max(red[1], red[2])
    assert np.ptp(drawn[120, 120]) < 100  # the first prompt is not drawn again


def test_a_smaller_mask_stays_visible_on_a_larger_one(example):
    larger = np.zeros_like(example.truth)
    larger[10:110, 10:150] = True
    for masks in ([example.truth, larger], [larger, example.truth]):
        drawn = decoded(with_all_masks(example.picture, masks))
        assert np.abs(drawn[120, 120] - drawn[120, 250]).max() > 30
