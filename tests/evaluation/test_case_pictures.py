import base64
import io

import numpy as np
import pytest
from PIL import Image

from edge_sam.evaluation.case_pictures import FirstPrompt, draw_case, frame_around
from edge_sam.pages.pictures import WIDTH


def decoded(address: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))).astype(int)


def mask(size, top, left, bottom, right):
    made = np.zeros(size, bool)
    made[top:bottom, left:right] = True
    return made


@pytest.mark.parametrize("place", [(0, 0, 40, 10), (280, 380, 300, 400), (100, 100, 130, 180), (0, 0, 300, 400)])
def test_the_frame_holds_the_mask_and_lies_in_the_picture(place):
    frame = frame_around(mask((300, 400), *place))
    top, left, bottom, right = place
    assert 0 <= frame.top <= top < bottom <= frame.bottom <= 300
    assert 0 <= frame.left <= left < right <= frame.right <= 400
    assert frame.shape[1] / frame.shape[0] == pytest.approx(4 / 3, abs=0.03)


def test_a_tiny_mask_of_a_narrow_picture_gets_what_there_is():
    frame = frame_around(mask((50, 400), 20, 390, 22, 392))
    assert (frame.top, frame.bottom, frame.right) == (0, 50, 400) and frame.shape[1] == 128


def test_pictures_show_mask_prompt_and_answers_where_they_are():
    picture = np.full((300, 400, 3), 120, np.uint8)
    truth = mask((300, 400), 100, 150, 160, 230)
    answer = mask((300, 400), 100, 150, 160, 190)
    drawn = draw_case(
        picture, truth, FirstPrompt(np.array([190.0, 130.0])), [answer, ~answer], [(0, 0, 255), (255, 0, 0)]
    )
    prompt, true, first, second = (decoded(one) for one in (drawn.prompt, drawn.truth, *drawn.answers))
    assert {one.shape for one in (prompt, true, first, second)} == {(240, WIDTH, 3)}
    middle = (120, 160)
    assert prompt[middle][2] < 110 < prompt[middle][0]  # yellow
    assert true[120, 140].min() > 120 > true[5, 5].max()
    left, right = (120, 110), (120, 210)
    assert first[left][2] > first[left][0] + 15 and np.ptp(first[right]) < 15
    assert second[right][0] > second[right][2] + 15 and np.ptp(second[left]) < 15
    assert decoded(drawn.photograph).shape == (240, WIDTH, 3)


def test_a_box_is_drawn_on_its_borders():
    picture = np.full((300, 400, 3), 120, np.uint8)
    truth = mask((300, 400), 100, 150, 160, 230)
    window = frame_around(truth)
    prompt = decoded(draw_case(picture, truth, FirstPrompt(np.array([150.0, 100, 230, 160])), [], []).prompt)
    scale = WIDTH / window.shape[1]
    x, y = round((150 - window.left) * scale) + 2, 120
    assert prompt[y, x][2] < 110 < prompt[y, x][0]
    assert np.ptp(prompt[y, x + 20]) < 15
