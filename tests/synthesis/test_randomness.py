from collections import Counter

import numpy as np
import pytest

from edge_sam.synthesis.randomness import Randomness, rounded


def test_the_stream_of_a_key_never_changes():
    random = Randomness(7, 3, 512)
    assert [random.below(1000) for _ in range(6)] == [97, 229, 879, 985, 925, 870]
    assert Randomness(7, 3, 512).bytes(2, 3).tolist() == [[188, 201, 21], [25, 148, 237]]


def test_keys_give_streams_of_their_own():
    assert Randomness(0, 1).unit() != Randomness(1, 0).unit()


def test_numbers_stay_in_their_ranges_and_fill_them():
    random = Randomness(1)
    for draw, low, high in (
        (lambda: random.between(-2, 5), -2, 5),
        (lambda: random.log_between(0.01, 10), 0.01, 10),
        (lambda: random.signed(3), -3, 3),
        (lambda: random.integer(4, 9), 4, 9),
    ):
        values = [draw() for _ in range(2000)]
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high >= max(values) > high - 0.1 * (high - low)


def test_logarithms_are_uniform():
    random = Randomness(2)
    values = [random.log_between(0.01, 1.0) for _ in range(4000)]
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.5, abs=0.03)


def test_weights_are_shares():
    random = Randomness(3)
    counts = Counter(random.weighted({"a": 3, "b": 1}) for _ in range(4000))
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_bytes_are_uniform():
    values = Randomness(4).bytes(64, 1000)
    assert np.bincount(values.ravel(), minlength=256).min() > 150


def test_rounding_hides_the_last_bits():
    assert rounded(0.1) == rounded(np.nextafter(0.1, 1.0)) == 6554 / 65536
