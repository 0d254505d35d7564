import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sam.inference.window import NO_PIXEL, Window

SIDE = 8
WHOLE = Window(0, 0, SIDE, SIDE)
NUMBERS = st.integers(0, SIDE)


@st.composite
def windows(draw):
    top, bottom = sorted((draw(NUMBERS), draw(NUMBERS)))
    left, right = sorted((draw(NUMBERS), draw(NUMBERS)))
    return Window(top, left, bottom, right) if top < bottom and left < right else NO_PIXEL


def painted(window, frame=WHOLE):
    pixels = np.zeros(frame.shape, dtype=bool)
    pixels[window.within(frame)] = True
    return pixels


@given(one=windows(), other=windows())
def test_windows_are_sets_of_pixels(one, other):
    assert bool(one) == painted(one).any() and painted(one).sum() == np.prod(one.shape)
    assert (painted(one.intersection(other)) == (painted(one) & painted(other))).all()
    both = one.around(other)
    assert (painted(both) >= (painted(one) | painted(other))).all()
    for axis in (0, 1):
        assert (painted(both).any(axis) == _hull((painted(one) | painted(other)).any(axis))).all()
    assert painted(one, both).sum() == painted(one).sum(), "moved, not cut"


def _hull(marked):
    return np.logical_or.accumulate(marked) & np.logical_or.accumulate(marked[::-1])[::-1]


def test_there_is_one_window_without_a_pixel():
    with pytest.raises(ValueError, match="without a pixel"):
        Window(3, 3, 3, 9)
