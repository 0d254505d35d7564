"""The repeated count against a plain one, on matches drawn at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sam.evaluation import ap_interval
from edge_sam.evaluation.ap_interval import RECALLS, MeansOverCategories, weighted_precision
from edge_sam.evaluation.ap_matches import CategoryMatches

IMAGES = 6


def draw_matches(seed):
    """Right masks never outnumber objects, as matching one to one has it."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, IMAGES, rng.integers(0, 40))
    right = rng.random((4, 10, len(image))) < rng.random()
    ignored = ~right & (rng.random(right.shape) < rng.random())
    objects = np.stack([np.bincount(image[size.any(axis=0)], minlength=IMAGES) for size in right])
    return CategoryMatches(image, right, ignored, objects + rng.integers(0, 2, objects.shape) * rng.integers(0, 2))


def plain(matches, times, size, threshold):
    """Copy masks, walk down the ranks, look up each recall."""
    objects = int(times @ matches.objects[size])
    if not objects:
        return np.nan
    hits, misses, curve = 0, 0, []
    for number, image in enumerate(matches.image):
        for _ in range(times[image]):
            if not matches.ignored[size, threshold, number]:
                hits += matches.right[size, threshold, number]
                misses += not matches.right[size, threshold, number]
                curve.append((hits / objects, hits / (hits + misses)))
    return np.mean(
        [max((precision for reached, precision in curve if reached >= recall), default=0) for recall in RECALLS]
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_count_is_the_plain_one(seed):
    matches = draw_matches(seed)
    times = np.random.default_rng(seed).integers(0, 4, (3, IMAGES)).astype(np.uint8)
    found = weighted_precision(matches, times)
    for row, size, threshold in ((0, 0, 0), (1, 1, 3), (2, 3, 9), (0, 2, 5)):
        expected = plain(matches, times[row], size, threshold)
        assert found[row, size, threshold] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_draws_are_counted_apart_however_many_fit(monkeypatch):
    matches = draw_matches(3)
    times = np.random.default_rng(0).integers(0, 3, (20, IMAGES)).astype(np.uint8)
    together = weighted_precision(matches, times)
    monkeypatch.setattr(ap_interval, "_NUMBERS_AT_ONCE", 3)
    np.testing.assert_array_equal(weighted_precision(matches, times), together)


@pytest.mark.parametrize("objects", [100, 101, 7])
def test_recalls_are_reached_as_coco_compares_them(objects):
    """29 of 100 objects are 0.29, which is below the 29th recall, 0.29000000000000004."""
    for right in range(objects):
        marks = np.zeros((4, 10, objects), bool)
        marks[..., :right] = True
        matches = CategoryMatches(np.zeros(objects, np.int64), marks, ~marks, np.full((4, 1), objects))
        reached = np.searchsorted(RECALLS, right / objects, side="right") if right else 0
        assert weighted_precision(matches, np.ones((1, 1), np.uint8))[0, 0, 0] == reached / 101


def test_means_are_over_categories_that_have_such_objects():
    means = MeansOverCategories(("AP", "AP75", "APs", "APr", "APc", "APf"), 2)
    first, second = np.full((2, 4, 10), 0.5), np.full((2, 4, 10), 0.1)
    first[0, 0, 5], first[:, 1] = 1.0, np.nan
    second[1] = np.nan
    means.add(first, "r")
    means.add(second, None)
    numbers = {name: values.tolist() for name, values in means.numbers().items()}
    assert numbers["AP"] == pytest.approx([(0.55 + 0.1) / 2, 0.5]) and numbers["APr"] == pytest.approx([0.55, 0.5])
    assert numbers["AP75"] == pytest.approx([0.55, 0.5]) and numbers["APs"] == pytest.approx([0.1, np.nan], nan_ok=True)
    assert np.isnan(numbers["APc"] + numbers["APf"]).all()
