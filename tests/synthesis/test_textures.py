from dataclasses import replace

import numpy as np
import pytest

from edge_sam.synthesis.palettes import ramp
from edge_sam.synthesis.textures import PATTERNS, Texture

GREYS = ramp([(0.0, (0, 0, 0)), (1.0, (255, 255, 255))])
PLAIN = Texture("stripes", GREYS, wavelength=16.0)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_use_their_ramp(pattern):
    values = replace(PLAIN, pattern=pattern, offset=(12345, 67890)).values(0, 0, 96, 96)
    assert values.shape == (96, 96)
    assert int(values.max()) - int(values.min()) > 60


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_rectangle_is_a_crop_of_the_whole(pattern):
    texture = replace(PLAIN, pattern=pattern, direction=(0.8, 0.6), grain=0.3)
    whole = texture.render(0, 0, 60, 80)
    assert np.array_equal(texture.render(20, 30, 25, 35), whole[20:45, 30:65])


def test_flat_surfaces_have_one_colour():
    assert np.unique(replace(PLAIN, pattern="flat").values(0, 0, 20, 20)).tolist() == [128]


def test_stripes_repeat_with_their_wavelength_across_their_direction():
    values = PLAIN.values(0, 0, 8, 64)
    assert np.array_equal(values[:, :16], values[:, 16:32])
    assert np.ptp(values, axis=0).max() == 0
    turned = replace(PLAIN, direction=(0.0, 1.0)).values(0, 0, 64, 8)
    assert np.ptp(turned, axis=1).max() == 0


def test_a_plane_is_finer_towards_its_horizon():
    values = replace(PLAIN, horizon=0.0, wavelength=40.0).values(0, 0, 200, 200).astype(int)
    changes = np.abs(np.diff(values, axis=1)).mean(1)
    assert changes[10:40].mean() > 2 * changes[160:].mean()


def test_grain_and_drift_add_to_the_pattern():
    flat = replace(PLAIN, pattern="flat")
    fine = replace(flat, grain=0.5).values(0, 0, 100, 100).astype(int)
    wide = replace(flat, drift=0.5).values(0, 0, 100, 100).astype(int)
    assert fine.std() > 10 and wide.std() > 10
    assert np.abs(np.diff(fine)).mean() > 3 * np.abs(np.diff(wide)).mean()
