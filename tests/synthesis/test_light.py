import numpy as np
import pytest

from edge_sam.synthesis.light import Light, cast_shadow, draw_light, folds, highlight, relief
from edge_sam.synthesis.outlines import circle, rectangle
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import rasterize

DISC = rasterize([circle(64) * 45 + 50], 0, 0, 100, 100)
FROM_THE_LEFT = Light(x=-1.0, y=0.0, strength=0.5, shadow=0.5)


@pytest.mark.parametrize("roundness", [0.0, 0.5, 1.0])
def test_the_side_towards_the_light_is_brighter(roundness):
    shade = relief(DISC, FROM_THE_LEFT, roundness).astype(int)
    assert shade[45:55, 8:14].mean() > shade[45:55, 86:92].mean() + 20


def test_a_flat_surface_is_neutral_inside():
    shade = relief(DISC, FROM_THE_LEFT, 0.0)
    assert np.abs(shade[45:55, 45:55].astype(int) - 128).max() <= 2


def test_a_highlight_is_brightest_at_its_centre():
    spot = highlight(40, 60, (20, 10), 8)
    assert spot[10, 20] == 255 and spot[10, 29] == 0 and spot[30, 20] == 0


def test_a_shadow_is_shifted():
    shadow, margin = cast_shadow(DISC, (0.2, 0.1), 1.0, 0.0, 0.01)
    rows, columns = np.nonzero(shadow > 127)
    assert rows.mean() - margin == pytest.approx(50 + 10, abs=2.5)
    assert columns.mean() - margin == pytest.approx(50 + 20, abs=2.5)


def test_a_shadow_on_the_ground_is_flat_and_starts_at_the_foot():
    pole = rasterize([rectangle(45, 5, 55, 95)], 0, 0, 100, 100)
    shadow, margin = cast_shadow(pole, (0.0, 0.0), 0.25, 0.8, 0.01)
    rows, columns = np.nonzero(shadow > 127)
    assert rows.max() - margin == pytest.approx(95, abs=4)
    assert np.ptp(rows) < 0.4 * 90
    assert np.ptp(columns) > 50  # it leans to the right


def test_folds_are_neutral_on_average():
    assert folds(Randomness(3), 300, 300).mean() == pytest.approx(128, abs=12)


def test_light_mostly_comes_from_above():
    lights = [draw_light(Randomness(seed)) for seed in range(200)]
    assert np.mean([light.y < 0 for light in lights]) > 0.85
