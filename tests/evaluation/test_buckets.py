import numpy as np
import pytest

from edge_sam.evaluation.buckets import by_size, by_threshold


def test_sizes_are_cocos():
    areas = np.array([1, 1023, 1024, 9215, 9216, 10**6])
    iou = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8], [0.9, 1.0], [0.7, 0.6]])
    buckets = by_size(iou, areas)
    assert {name: bucket.instances for name, bucket in buckets.items()} == {"small": 2, "medium": 2, "large": 2}
    assert buckets["small"].miou == pytest.approx((0.2, 0.3))
    assert buckets["medium"].miou == pytest.approx((0.6, 0.7))
    assert buckets["large"].miou == pytest.approx((0.8, 0.8))
    assert by_size(iou[:2], areas[:2])["large"].miou == (), "no number where there is no instance"


def test_thresholds_count_from_their_value_on():
    shares = by_threshold(np.array([[0.5, 0.95], [0.49, 1.0], [0.75, 0.1]]))
    assert list(shares) == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert shares[0.5] == pytest.approx((2 / 3, 2 / 3))
    assert shares[0.75] == pytest.approx((1 / 3, 2 / 3))
    assert shares[0.8] == pytest.approx((0, 2 / 3)) and shares[0.95] == pytest.approx((0, 2 / 3))
