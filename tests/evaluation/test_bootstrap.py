import numpy as np
import pytest

from edge_sam.evaluation.bootstrap import draw_images, interval_around, interval_by_image, interval_of_draws


def test_covers_the_true_mean_as_often_as_it_says():
    """Values of an image are alike, and the numbers of instances differ: what instances alone would get wrong."""
    rng = np.random.default_rng(1)
    hits, rounds = 0, 200
    for _ in range(rounds):
        counts = rng.integers(1, 9, 40)
        image_ids = np.repeat(np.arange(40), counts).astype(str)
        level = np.repeat(rng.uniform(0.3, 0.9, 40), counts)
        low, high = interval_by_image(level + rng.normal(0, 0.02, len(level)), image_ids)
        hits += low <= 0.6 <= high
    assert 0.88 <= hits / rounds <= 0.99


def test_is_the_same_every_time_and_for_any_order_of_instances():
    rng = np.random.default_rng(2)
    values, image_ids = rng.random(50), rng.integers(0, 9, 50).astype(str)
    order = rng.permutation(50)
    first, again = interval_by_image(values, image_ids), interval_by_image(values[order], image_ids[order])
    assert first == pytest.approx(again, abs=1e-12) and first == interval_by_image(values, tuple(image_ids))
    assert first.low < values.mean() < first.high


def test_draws_images_not_instances():
    """Two images, one of them with nearly all instances: the mean jumps between their two values."""
    low, high = interval_by_image(np.array([0.0] + [1.0] * 99), ["a"] + ["b"] * 99)
    assert (low, high) == (0.0, 1.0)


def test_one_image_says_nothing_of_others():
    assert interval_by_image(np.array([0.2, 0.4]), ["a", "a"]) == pytest.approx((0.3, 0.3))


def test_differences_of_two_models_cancel_what_images_have_in_common():
    rng = np.random.default_rng(3)
    image_ids = np.repeat(np.arange(30), 4).astype(str)
    hard = np.repeat(rng.uniform(0, 1, 30), 4)
    one, other = hard + rng.normal(0.02, 0.01, 120), hard
    low, high = interval_by_image(one - other, image_ids)
    assert 0 < low < 0.02 < high
    alone = interval_by_image(one, image_ids)
    assert high - low < (alone.high - alone.low) / 5


def test_draws_are_of_as_many_images():
    times = draw_images(300)
    assert times.shape == (1000, 300) and (times.sum(axis=1, dtype=int) == 300).all()
    np.testing.assert_array_equal(times, draw_images(300))
    # Of many images a draw leaves out a share of 1 / e.
    assert (times == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)


def test_an_interval_around_a_number_is_as_wide_and_stays_in_its_range():
    values = np.random.default_rng(0).normal(0.6, 0.02, 1000)
    low, high = interval_of_draws(values)
    moved = interval_around(0.5, values)
    assert moved.high - moved.low == pytest.approx(high - low) and moved.low < 0.5 < moved.high
    assert interval_around(0.999, values).high == 1.0 and interval_around(0.0, values).low == 0.0
    assert interval_around(1.0, np.ones(9)) == (1.0, 1.0)
