import numpy as np
import pytest

from edge_sam.synthesis import outlines
from edge_sam.synthesis.randomness import Randomness


def signed_area(outline):
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


OUTLINES = {
    "circle": outlines.circle(),
    "ellipse": outlines.ellipse(1, 2, 3, 0.5, 0.7),
    "rectangle": outlines.rectangle(-1, -2, 3, 4),
    "superellipse": outlines.superellipse(0, 0, 1, 2, 2),
    "blob": outlines.blob(Randomness(1)),
    "irregular_polygon": outlines.irregular_polygon(Randomness(1), 5),
    "star": outlines.star(6, 0.5),
    "leaf": outlines.leaf((0.2, 0.1), (-1.0, 0.7), 0.3),
    "capsule": outlines.capsule((0.5, 0.1), (-1.0, -0.4), 0.3, 0.1),
    "lathe": outlines.lathe(Randomness(1)),
    "smoothed": outlines.smoothed(outlines.rectangle(0, 0, 1, 1)),
    "roughened": outlines.roughened(Randomness(1), outlines.rectangle(0, 0, 1, 1), 0.2),
}


@pytest.mark.parametrize("name", OUTLINES)
def test_all_outlines_turn_the_same_way(name):
    assert signed_area(OUTLINES[name]) > 0


def test_areas_are_those_of_the_formulas():
    assert signed_area(outlines.circle(256)) == pytest.approx(np.pi, rel=1e-3)
    assert signed_area(outlines.rectangle(-1, -2, 3, 4)) == pytest.approx(24)
    straight = outlines.capsule((0, 0), (4, 0), 1, 1)
    assert signed_area(straight) == pytest.approx(8 + np.pi, rel=0.01)


def test_squareness_grows_towards_a_rectangle():
    areas = [signed_area(outlines.superellipse(0, 0, 1, 1, squareness)) for squareness in range(4)]
    assert areas == sorted(areas)
    assert areas[-1] > 3.8


def test_transformed_mirrors_turns_scales_and_shifts_in_this_order():
    moved = outlines.transformed(np.array([[1.0, 0.0]]), 2.0, np.pi / 2, (10.0, 20.0), mirrored=True)
    assert moved == pytest.approx(np.array([[10.0, 18.0]]))


def test_fractal_lines_are_rougher_with_more_of_the_fine_octaves():
    def bend(roughness, smooth):
        lines = [outlines.fractal_line(Randomness(seed), 300, roughness, smooth) for seed in range(20)]
        assert all(line.shape == (300,) for line in lines)
        return np.mean([np.abs(np.diff(line, 2)).mean() for line in lines])

    assert bend(0.7, 0) > 3 * bend(0.4, 0) > 3 * bend(0.4, 3)


def test_smoothed_lines_keep_their_ends():
    line = outlines.smoothed_line([(0, 0), (1, 1), (2, 0)])
    assert (line[0], line[-1]) == ((0, 0), (2, 0))
    assert max(y for _, y in line) < 1
