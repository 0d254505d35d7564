import numpy as np
import pytest

from edge_sam.synthesis.palettes import MATERIALS, draw_color, mixed, near, ramp, scaled, shade_ramp, two_color_ramp
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.textures import PATTERNS


@pytest.mark.parametrize("name", MATERIALS)
def test_materials_have_colours_and_patterns_that_exist(name):
    assert set(MATERIALS[name].patterns) <= {*PATTERNS, "flat"}
    colors = np.array([draw_color(Randomness(seed), MATERIALS[name]) for seed in range(50)])
    assert colors.min() >= 0 and colors.max() <= 255
    assert colors.std(0).min() > 5


def test_a_ramp_meets_its_stops():
    values = ramp([(0.0, (0, 10, 20)), (0.4, (100, 60, 20)), (1.0, (200, 60, 80))])
    assert values[0].tolist() == [0, 10, 20]
    assert values[102].tolist() == [100, 60, 20]
    assert values[255].tolist() == [200, 60, 80]


def test_shades_go_from_dark_to_light_around_the_colour():
    values = shade_ramp(Randomness(0), (120, 110, 100), 0.5).astype(int)
    assert (np.diff(values.sum(1)) >= 0).all()
    assert values[127].tolist() == [120, 110, 100]


def test_sharp_ramps_change_at_once():
    soft, sharp = (two_color_ramp(Randomness(0), (20, 20, 20), (220, 220, 220), value) for value in (0.0, 0.95))
    steps = [np.diff(values[:, 0].astype(int)).max() for values in (soft, sharp)]
    assert steps[1] > 5 * steps[0]


def test_near_stays_near():
    for seed in range(100):
        assert np.abs(np.subtract(near(Randomness(seed), (100, 120, 140), 30), (100, 120, 140))).max() <= 40.001


def test_mixing_and_scaling():
    assert mixed((0, 100, 200), (100, 100, 100), 0.25) == (25, 100, 175)
    assert scaled((100, 50, 20), 2.0, (1.0, 0.5, 1.0)) == (200, 50, 40)
