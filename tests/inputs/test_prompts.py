import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sam.errors import EdgeSamError
from edge_sam.inputs.prompts import check_prompts

SIZE = (90, 160)
POINTS, LABELS = [[30, 40], [160, 90]], [1, 0]
BOX = [10, 10, 60, 50]
MASK = np.zeros((1, 8, 8), np.float32)
NAN = float("nan")


def check(point_coords=None, point_labels=None, box=None, mask_input=None):
    return check_prompts(point_coords, point_labels, box, mask_input, SIZE, 8)


def test_prompts_of_one_object():
    prompts = check(POINTS, LABELS, BOX, MASK.astype(np.float16))
    assert not prompts.batched
    assert np.array_equal(prompts.points, [POINTS]) and prompts.points.dtype == np.float64
    assert np.array_equal(prompts.labels, [LABELS]) and prompts.labels.dtype == np.int64
    assert np.array_equal(prompts.boxes, [BOX])
    assert prompts.masks.shape == (1, 1, 8, 8) and prompts.masks.dtype == np.float32


def test_prompts_of_many_objects():
    prompts = check([POINTS] * 3, [LABELS] * 3, [BOX] * 3, [MASK] * 3)
    assert prompts.batched
    assert prompts.points.shape == (3, 2, 2) and prompts.boxes.shape == (3, 4) and prompts.masks.shape == (3, 1, 8, 8)
    nothing = check(np.zeros((0, 1, 2)), np.zeros((0, 1)))
    assert nothing.batched and nothing.points.shape == (0, 1, 2)


@pytest.mark.parametrize("others", [{"point_coords": POINTS, "point_labels": LABELS}, {"mask_input": MASK}])
def test_a_box_in_a_batch_of_one_joins_prompts_of_one_object(others):
    prompts = check(box=[BOX], **others)
    assert not prompts.batched and np.array_equal(prompts.boxes, [BOX])
    assert check(box=[BOX]).batched


@pytest.mark.parametrize(("points", "labels"), [([], []), (np.zeros((0, 2)), np.zeros(0, int))])
def test_no_point_is_as_none_given(points, labels):
    prompts = check(points, labels, BOX)
    assert prompts.points is None and prompts.labels is None
    with pytest.raises(EdgeSamError, match="no prompt"):
        check(points, labels)


def test_padding_may_lie_anywhere():
    assert check([[30, 40], [-7, 999]], [1, -1]).points.shape == (1, 2, 2)


@given(st.lists(st.integers(-50, 250), min_size=4, max_size=4))
def test_a_box_is_cut_at_the_edge_or_refused(box):
    left, top, right, bottom = box
    inside = np.zeros(SIZE, bool)
    inside[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    if not inside.any():
        with pytest.raises(EdgeSamError, match=r"has no area|is outside"):
            check(box=box)
        return
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert check(box=box).boxes.tolist() == [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no prompt: give points, a box or a mask"),
        ({"point_coords": POINTS}, "come together"),
        ({"point_labels": LABELS}, "come together"),
        ({"point_coords": POINTS, "point_labels": [1]}, r"point_coords has shape \(2, 2\), not \(1, 2\)"),
        ({"point_coords": [POINTS], "point_labels": LABELS}, r"point_coords has shape \(1, 2, 2\), not \(2, 2\)"),
        ({"point_coords": POINTS, "point_labels": 1}, r"point_labels has shape \(\), not"),
        ({"point_coords": POINTS, "point_labels": [1, 2]}, r"a point's label is 1 .*not \[1.0, 2.0\]"),
        ({"point_coords": [[1, 2], [3]], "point_labels": LABELS}, "point_coords is not an array"),
        ({"point_coords": [["a", "b"]], "point_labels": [1]}, "point_coords is of type <U1, not of numbers"),
        ({"point_coords": [[1, NAN]], "point_labels": [1]}, "point_coords holds values that are not finite"),
        (
            {"point_coords": [[1, 90.5]], "point_labels": [1]},
            r"point \(1, 90.5\) is outside of the picture of 160 x 90",
        ),
        ({"point_coords": [[-1, 9]], "point_labels": [0]}, r"point \(-1, 9\) is outside"),
        ({"box": [1, 2, 3]}, r"box has shape \(3,\), not \(4,\) or \(N, 4\)"),
        ({"box": [1, 2, NAN, 4]}, "box holds values that are not finite"),
        ({"box": [5, 5, 5, 9]}, r"box \(5, 5, 5, 9\) has no area"),
        ({"box": [[0, 0, 9, 9], [170, 5, 180, 9]]}, r"box \(170, 5, 180, 9\) is outside; the picture is 160 x 90"),
        ({"mask_input": MASK[0]}, r"mask_input has shape \(8, 8\), not \(1, 8, 8\) or \(N, 1, 8, 8\)"),
        ({"mask_input": MASK > 0}, "mask_input is of type bool, not of numbers"),
        ({"mask_input": MASK + np.inf}, "mask_input holds values that are not finite"),
        ({"box": BOX, "mask_input": [MASK] * 2}, "box of one object, mask_input of a batch of 2"),
        (
            {"point_coords": POINTS, "point_labels": LABELS, "box": [BOX] * 2},
            "point_coords of one object, box of a batch of 2",
        ),
        (
            {"point_coords": [POINTS], "point_labels": [LABELS], "box": [BOX], "mask_input": MASK},
            "box of a batch of 1, mask_input of one object",
        ),
        ({"box": [BOX] * 3, "mask_input": [MASK] * 2}, "box of a batch of 3, mask_input of a batch of 2"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(EdgeSamError, match=message):
        check(**arguments)
