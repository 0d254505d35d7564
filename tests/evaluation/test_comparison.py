from dataclasses import replace

import numpy as np
import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.bootstrap import interval_by_image
from edge_sam.evaluation.comparison import BINS, Comparison
from edge_sam.evaluation.comparison_words import comparison_line, finding
from edge_sam.evaluation.miou import MiouResult
from edge_sam.evaluation.protocols import EvaluationProtocol

IMAGES = ("a", "a", "a", "b", "b", "c")
FIRST = np.array([[0.2, 0.3], [0.9, 0.9], [0.1, 0.6], [0.5, 0.7], [0.6, 0.6], [1.0, 1.0]])
HASHES = ("a" * 64, "b" * 64)
NETWORKS = ("vit_b, 1024 px; float32", "ONNX, 512 px; as exported")
SECOND = np.array([[0.3, 0.4], [0.1, 0.9], [0.1, 0.7], [0.6, 0.8], [0.7, 0.7], [1.0, 1.0]])


def result(iou: np.ndarray, **changes) -> MiouResult:
    made = MiouResult(
        protocol=EvaluationProtocol("box", refine_iters=1), image_ids=IMAGES, numbers=np.array([0, 1, 2, 0, 1, 0]),
        names=tuple(range(6)), areas=np.full(6, 500), iou=iou, boundary_iou=None, failures=(), empty=(),
        refusals=(), data_sha256="d" * 64,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def comparison():
    return Comparison("sa", "all images", ("one", "two"), HASHES, NETWORKS, (result(FIRST), result(SECOND)))


def test_the_line_says_which_networks_in_which_number_format(comparison):
    named = "one aaaaaaaaaaaa (vit_b, 1024 px; float32), two bbbbbbbbbbbb (ONNX, 512 px; as exported)"
    assert f"; checkpoints {named}; sa, data dddddddddddd: all images, 3 images" in comparison_line(comparison)


def test_differences_are_those_on_the_same_instances(comparison):
    assert [estimate.value for estimate in comparison.estimates[0]] == pytest.approx(FIRST.mean(axis=0).tolist())
    none, differences = comparison.differences
    assert none == ()
    for number, estimate in enumerate(differences):
        between = SECOND[:, number] - FIRST[:, number]
        assert estimate.value == pytest.approx(between.mean())
        assert estimate.interval == interval_by_image(between, IMAGES)


def test_a_paired_interval_is_narrow_where_models_fail_alike():
    rng = np.random.default_rng(0)
    images = tuple(f"{number:03d}" for number in range(60))
    changes = {"image_ids": images, "numbers": np.zeros(60, int), "protocol": EvaluationProtocol("box")}
    hard = rng.random((60, 1))
    results = (result(hard * 0.9, **changes), result(hard * 0.9 + 0.02, **changes))
    alike = Comparison("sa", "all images", ("one", "two"), HASHES, NETWORKS, results)
    own, between = alike.estimates[1][0], alike.differences[1][0]
    assert between.interval.high - between.interval.low < 1e-6 < own.interval.high - own.interval.low
    assert between.sign == 1 and own.interval.low < alike.estimates[0][0].value < own.interval.high
    assert list(finding([alike])) == ["two against one: by box 0.020 better."]


def test_no_verdict_where_the_interval_holds_zero(comparison):
    assert comparison.differences[1][0].sign == 0
    assert list(finding([comparison])) == [
        "two against one: by box no clear difference, after 1 click no clear difference."
    ]


def test_a_single_image_gives_no_verdict():
    """Drawn again it is always the same: that its interval has no width is no certainty."""
    changes = {"image_ids": ("a",) * 6}
    results = (result(FIRST, **changes), result(FIRST / 2, **changes))
    between = Comparison("sa", "all images", ("one", "two"), HASHES, NETWORKS, results).differences[1][0]
    assert between.interval.low == between.interval.high < 0 and between.sign == 0


def test_histograms_hold_every_instance_once(comparison):
    counts = comparison.histogram(0, 0)
    assert len(counts) == BINS and counts.sum() == 6
    assert counts[-1] == 1 and counts[2] == 1 and counts[4] == 1  # 1.0, 0.1 and 0.2


def test_the_worst_and_the_most_different_are_one_an_image(comparison):
    worst, second, different, *rest = comparison.cases(2)
    assert (worst.kind, worst.image_id, worst.number, worst.iou) == ("worst", "a", 2, (0.1, 0.1))
    assert (second.image_id, second.number) == ("b", 0)
    assert (different.kind, different.image_id, different.number) == ("most different", "a", 1)
    assert [case.image_id for case in rest] == ["b"]
    kinds = [case.kind for case in comparison.cases(9)]
    assert kinds == ["worst"] * 3 + ["most different"] * 2, "on image c the models agree"


def test_one_model_has_no_differences():
    alone = Comparison("sa", "all images", ("one",), HASHES[:1], NETWORKS[:1], (result(FIRST),))
    assert {case.kind for case in alone.cases(3)} == {"worst"} and not list(finding([alone]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_sha256": "e" * 64}, "different data"),
        ({"numbers": np.array([0, 1, 3, 0, 1, 0])}, "different instances"),
        ({"image_ids": ("a", "a", "a", "b", "c", "c")}, "different instances"),
    ],
)
def test_other_data_are_not_compared(changes, message):
    with pytest.raises(EdgeSamError, match=message):
        Comparison("sa", "all images", ("one", "two"), HASHES, NETWORKS, (result(FIRST), result(SECOND, **changes)))
