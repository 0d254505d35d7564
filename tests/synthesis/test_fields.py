import numpy as np
import pytest

from edge_sam.synthesis.fields import SIDE, fields

NAMES = ("smooth", "clouds", "rough", "cell_depth", "cell_value")


@pytest.mark.parametrize("name", NAMES)
def test_values_are_about_equally_frequent(name):
    field = getattr(fields(), name)
    assert field.shape == (SIDE, SIDE)
    quarters = np.bincount(field.ravel() >> 6, minlength=4) / field.size
    assert quarters == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("name", ["smooth", "clouds", "cell_depth"])
@pytest.mark.parametrize("axis", [0, 1])
def test_fields_repeat_without_a_seam(name, axis):
    field = getattr(fields(), name).astype(int)
    step = np.abs(np.diff(field, axis=axis)).mean()
    seam = np.abs(field.take(0, axis) - field.take(-1, axis)).mean()
    assert seam < 2 * step + 1


def test_fields_differ_in_detail():
    detail = [np.abs(np.diff(getattr(fields(), name).astype(int), axis=1)).mean() for name in NAMES[:3]]
    assert detail[0] < detail[1] < detail[2]
