import numpy as np
import pytest

from edge_sam.synthesis.outlines import circle, ellipse, rectangle
from edge_sam.synthesis.rasterizing import blurred, bounds, rasterize, softened


def test_pixels_whose_centres_are_inside_are_set():
    mask = rasterize([rectangle(2.4, 1.6, 5.6, 3.4)], 0, 0, 6, 8)
    assert np.argwhere(mask).tolist() == [[2, 2 + column] for column in range(4)]  # centres are at .5


def test_area_of_a_disc():
    assert rasterize([circle(128) * 40 + 50], 0, 0, 100, 100).sum() == pytest.approx(np.pi * 1600, rel=0.005)


def test_a_union_has_no_hole_where_outlines_overlap():
    one, other = ellipse(20, 20, 15, 15), ellipse(30, 20, 15, 15)
    both = rasterize([one, other], 0, 0, 40, 50)
    assert np.array_equal(both, rasterize([one], 0, 0, 40, 50) | rasterize([other], 0, 0, 40, 50))


def test_a_rectangle_of_the_picture_is_a_crop_of_the_whole():
    outline = [ellipse(30, 25, 28, 20, 0.4)]
    whole = rasterize(outline, 0, 0, 60, 70)
    assert np.array_equal(rasterize(outline, 10, 15, 30, 40), whole[10:40, 15:55])


def test_what_lies_outside_of_the_picture_is_cut_off():
    top, left, height, width = bounds([rectangle(-10, -10, 5.2, 300)], 20, 30)
    assert (top, left, height, width) == (0, 0, 20, 7)
    assert bounds([rectangle(40, 0, 50, 5)], 20, 30)[3] == 0


def test_soft_edges_keep_inside_and_outside():
    mask = rasterize([rectangle(5, 5, 15, 15)], 0, 0, 20, 20)
    soft = softened(mask, 1.0)
    assert soft[10, 10] == 255 and soft[0, 0] == 0
    assert ((soft > 127) != mask).sum() <= 4  # corners are rounded off


def test_blurring_averages():
    values = np.zeros((9, 9), np.uint8)
    values[4, 4] = 90
    assert blurred(values, 1)[3:6, 3:6].tolist() == [[10] * 3] * 3
