import numpy as np
import pytest

from edge_sam.evaluation.bootstrap import interval_by_image


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
