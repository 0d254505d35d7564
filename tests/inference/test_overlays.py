import numpy as np
import pytest
from PIL import Image

from edge_sam.errors import EdgeSamError
from edge_sam.inference.overlays import draw_masks, draw_prompts, save_overlay

GREY = np.full((60, 80, 3), 100, np.uint8)


def test_masks_are_tinted_and_nothing_else_is():
    large, small = np.zeros((2, 60, 80), bool)
    large[10:50, 10:70] = True
    small[20:30, 20:30] = True
    drawn = np.asarray(draw_masks(GREY, [small, np.zeros_like(small), large]))
    assert (drawn[~large] == 100).all() and (drawn[large] != 100).any(axis=1).all()
    assert not np.array_equal(drawn[25, 25], drawn[40, 40]), "the smaller mask shows above the larger one"
    assert not np.array_equal(drawn[10, 40], drawn[30, 40]), "masks have an outline"
    assert (GREY == 100).all()


def test_prompts_show_where_they_are():
    image = draw_masks(GREY, [])
    draw_prompts(image, np.array([[20.0, 20.0], [60.0, 20.0]]), np.array([1, 0]), np.array([[5.0, 40.0, 70.0, 55.0]]))
    drawn = np.asarray(image)
    foreground, background, corner = drawn[20, 20].astype(int), drawn[20, 60].astype(int), drawn[40, 5]
    assert foreground[1] > foreground[0] and background[0] > background[1]
    assert (corner != 100).any() and (drawn[47, 30] == 100).all()


@pytest.mark.parametrize(
    ("size", "written"), [((80, 60), (80, 60)), ((65500, 4), (65500, 4)), ((4, 131000), (2, 65500))]
)
def test_what_jpeg_cannot_hold_is_shrunk(tmp_path, size, written):
    save_overlay(Image.new("RGB", size), tmp_path / "overlay.jpg")
    assert Image.open(tmp_path / "overlay.jpg").size == written


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(EdgeSamError, match=r"nowhere/overlay\.jpg: No such file"):
        save_overlay(Image.new("RGB", (4, 4)), tmp_path / "nowhere" / "overlay.jpg")
