import numpy as np
import pytest
from PIL import Image

from edge_sam.errors import EdgeSamError
from edge_sam.runtime.predictor import GraphPredictor
from edge_sam.web import click_session
from edge_sam.web.click_session import Clicks, SharedPredictor, draw_answer
from tests.runtime.graphs import disc_graphs


@pytest.fixture
def shared() -> SharedPredictor:
    """Its masks are discs about the mean of the points."""
    return SharedPredictor(GraphPredictor(disc_graphs()))


def picture_file(folder, width=80, height=60, name="a.png"):
    path = folder / name
    Image.new("RGB", (width, height), (90, 90, 90)).save(path)
    return path


def test_clicks_are_points_or_corners_and_can_be_undone():
    clicks = Clicks().with_click(3, 4, "add").with_click(5, 6, "remove").with_click(30, 40, "box")
    assert clicks.points == ((3, 4, 1), (5, 6, 0)) and clicks.corner == (30, 40) and clicks.box is None
    boxed = clicks.with_click(10, 50, "box")
    assert boxed.box == (10, 40, 30, 50) and boxed.corner is None and boxed.points == clicks.points
    assert boxed.with_click(1, 1, "box").box == boxed.box  # until the new box has both corners
    assert boxed.without_last() == clicks
    undone = boxed
    for _ in range(9):
        undone = undone.without_last()
    assert undone == Clicks() and not undone.ask_for_something
    with pytest.raises(EdgeSamError, match="no area"):
        clicks.with_click(30, 2, "box")
    with pytest.raises(EdgeSamError, match="not 'else'"):
        clicks.with_click(30, 2, "else")


def test_everyone_has_a_picture_of_their_own(shared, tmp_path):
    wide = shared.embed(picture_file(tmp_path))
    tall = shared.embed(picture_file(tmp_path, 40, 160, "b.png"))
    click = Clicks().with_click(20, 30, "add")
    masks, scores = shared.masks(wide, click, 4)
    assert masks.shape == (4, 60, 80) and scores.tolist() == [3, 2, 1, 0]
    assert masks[0].sum() > masks[1].sum() > masks[3].sum()
    rows, columns = np.nonzero(masks[0])
    assert abs(rows.mean() - 30) < 1 and abs(columns.mean() - 20) < 1
    assert shared.masks(tall, click)[0].shape == (1, 160, 40)
    assert shared.masks(wide, Clicks())[0].shape == (0, 60, 80)


def test_the_answer_is_drawn_over_the_picture(shared, tmp_path):
    picture = shared.embed(picture_file(tmp_path))
    clicks = Clicks().with_click(40, 30, "add").with_click(70, 50, "box")
    mask = shared.masks(picture, clicks, 3)[0][0]
    drawn = np.asarray(draw_answer(picture, clicks, mask))
    assert drawn.shape == (60, 80, 3)
    changed = (drawn != 90).any(axis=-1)
    assert changed[mask].all() and changed[50, 70] and not changed[5, 5]
    assert (np.asarray(draw_answer(picture, Clicks(), None)) == 90).all()


def test_large_and_broken_pictures_are_refused(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(click_session, "MOST_PIXELS", 4000)
    with pytest.raises(EdgeSamError, match="80 x 60 is larger"):
        shared.embed(picture_file(tmp_path))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(EdgeSamError, match="cannot be decoded"):
        shared.embed(broken)
