import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sam.inference.upsampling import MaskUpsampler
from edge_sam.inference.window import NO_PIXEL, Window
from edge_sam.modeling.sam import Sam


class _Square:
    def __init__(self, image_size):
        self.image_size = image_size


def blobs(seed, count, side):
    """Smooth logits of both signs, some masks empty, some all positive."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 5, 5, generator=generator) * 8
    coarse += torch.randn(count, 1, 1, 1, generator=generator) * 8
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[:, 0]


def enlarged(logits, image_size, size, original_size):
    return Sam.postprocess_masks(_Square(image_size), logits[:, None], size, original_size)[:, 0]


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 50))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), low_side=st.sampled_from([4, 16]), ratio=st.sampled_from([1, 3, 4]), original=SIZES,
    cut=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
)  # fmt: skip
def test_same_masks_as_the_two_resizes_and_nothing_outside_the_window(seed, low_side, ratio, original, cut):
    image_size = low_side * ratio
    size = tuple(max(1, round(part * image_size)) for part in cut)
    masks = blobs(seed, 4, low_side)
    upsampler = MaskUpsampler(low_side, image_size, size, original)
    expected = enlarged(masks, image_size, size, original)
    for mask, window, whole in zip(masks, upsampler.windows(masks), expected, strict=True):
        inside = window.within(Window(0, 0, *original))
        torch.testing.assert_close(upsampler.logits(mask, window), whole[inside], atol=2e-5, rtol=1e-5)
        found = torch.zeros(original, dtype=torch.bool)
        found[inside] = upsampler.binary_mask(mask, window)
        assert not ((found != (whole > 0)) & (whole.abs() > 1e-5)).any()


def test_numbers_of_a_photograph():
    """The sizes of SA-1B: the window is small where the mask is, and its numbers are those of the whole."""
    masks = torch.full((3, 64, 64), -5.0)
    masks[0, 20:30, 40:50] = 3.0
    masks[1, 60:, :] = 9.0  # in the padding alone
    masks[2] = 1.0
    upsampler = MaskUpsampler(64, 256, (171, 256), (375, 562))
    first, padding, everything = upsampler.windows(masks)
    assert padding == NO_PIXEL and everything == Window(0, 0, 375, 562)
    assert all(70 < side < 100 for side in first.shape), "ten low-resolution pixels and the reach of the taps"
    expected = enlarged(masks, 256, (171, 256), (375, 562))
    assert torch.equal(upsampler.binary_mask(masks[0], first), (expected[0] > 0)[first.within(everything)])
    assert upsampler.logits(masks[1], padding).shape == upsampler.binary_mask(masks[1], padding).shape == (0, 0)
    assert upsampler.binary_mask(masks[2], everything).all()


@pytest.mark.parametrize("threshold", [-1.0, 1.0])
def test_other_thresholds(threshold):
    masks = blobs(3, 6, 16)
    upsampler = MaskUpsampler(16, 64, (48, 64), (90, 120))
    expected = enlarged(masks, 64, (48, 64), (90, 120))
    for mask, window, whole in zip(masks, upsampler.windows(masks, threshold), expected, strict=True):
        found = torch.zeros(90, 120, dtype=torch.bool)
        found[window.within(Window(0, 0, 90, 120))] = upsampler.binary_mask(mask, window, threshold)
        assert not ((found != (whole > threshold)) & ((whole - threshold).abs() > 1e-5)).any()


def test_autocast_rounds_nothing():
    masks = blobs(1, 1, 16)
    upsampler = MaskUpsampler(16, 64, (64, 64), (70, 70))
    window = Window(0, 0, 70, 70)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = upsampler.logits(masks[0], window)
    assert inside.dtype == torch.float32 and torch.equal(inside, upsampler.logits(masks[0], window))


def test_a_window_is_where_it_is_whatever_was_asked_before():
    masks = blobs(2, 1, 16)
    upsampler = MaskUpsampler(16, 64, (50, 64), (300, 384))
    whole = upsampler.logits(masks[0], Window(0, 0, 300, 384))
    for window in (Window(0, 0, 1, 1), Window(299, 383, 300, 384), Window(10, 20, 290, 21), Window(63, 0, 65, 384)):
        part = upsampler.logits(masks[0], window)
        torch.testing.assert_close(part, whole[window.within(Window(0, 0, 300, 384))], atol=1e-5, rtol=1e-5)
