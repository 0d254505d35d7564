import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edge_sam.prompts.clicks import sample_clicks


def by_hand(target, predicted, valid, noise, stride, min_pixels):
    """The same rule for one mask at a time, in plain words."""
    points, labels = [], []
    for n in range(len(target)):
        rows, columns = np.nonzero((target[n] != predicted[n]) & valid[n])
        for value in noise[n]:
            if len(rows) < min_pixels:
                points.append((0, 0))
                labels.append(-2)
                continue
            pick = min(int(np.float32(value) * np.float32(len(rows))), len(rows) - 1)
            points.append((columns[pick] * stride, rows[pick] * stride))
            labels.append(int(target[n, rows[pick], columns[pick]]))
    shape = noise.shape
    return np.array(points, dtype=np.float32).reshape(*shape, 2), np.array(labels).reshape(shape)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 11)),
    clicks=st.integers(1, 3),
    share=st.floats(0, 1),
    min_pixels=st.integers(1, 12),
)
def test_agrees_with_the_rule_applied_one_by_one(seed, shape, clicks, share, min_pixels):
    rng = np.random.default_rng(seed)
    target = rng.random(shape) < 0.5
    predicted = target ^ (rng.random(shape) < share)
    valid = rng.random(shape) < 0.8
    noise = rng.random((shape[0], clicks), dtype=np.float32)
    tensors = [torch.from_numpy(array) for array in (target, predicted, valid, noise)]
    points, labels = sample_clicks(*tensors, stride=4, min_pixels=min_pixels)
    expected_points, expected_labels = by_hand(target, predicted, valid, noise, 4, min_pixels)
    assert points.dtype == torch.float32 and labels.dtype == torch.int64
    np.testing.assert_array_equal(points.numpy(), expected_points)
    np.testing.assert_array_equal(labels.numpy(), expected_labels)


def test_clicks_are_uniform_over_the_disagreement():
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.random((1, 8, 10)) < 0.5)
    predicted = target ^ torch.from_numpy(rng.random((1, 8, 10)) < 0.4)
    count = int((target ^ predicted).sum())
    noise = torch.from_numpy(rng.random((1, 200 * count)))
    points, _ = sample_clicks(target, predicted, None, noise, stride=1)
    column, row = points[0].long().unbind(-1)
    hits = torch.bincount(row * 10 + column, minlength=80)
    assert not hits[(target ^ predicted).flatten().logical_not()].any(), "clicked where the two agree"
    hits = hits[(target ^ predicted).flatten()]
    assert stats.chisquare(hits.numpy()).pvalue > 1e-3


def test_noise_columns_are_the_clicks_and_its_ends_are_the_first_and_last_pixel():
    target = torch.zeros(1, 6, 7, dtype=torch.bool)
    target[0, 1, 2:7] = True
    target[0, 4, 0:6] = True
    almost_one = np.nextafter(np.float32(1), np.float32(0))
    noise = torch.tensor([[0.0, almost_one, 5 / 11 + 1e-4]])
    points, labels = sample_clicks(target, torch.zeros_like(target), None, noise, stride=4)
    assert points.tolist() == [[[8, 4], [20, 16], [0, 16]]]
    assert labels.tolist() == [[1, 1, 1]]


def test_label_tells_missing_from_superfluous():
    target = torch.zeros(2, 8, 8, dtype=torch.bool)
    predicted = target.clone()
    target[0, :4] = True
    predicted[1, :4] = True
    _, labels = sample_clicks(target, predicted, None, torch.full((2, 1), 0.5), stride=4)
    assert labels.tolist() == [[1], [0]]


def test_fewer_than_ten_pixels_are_an_ignored_click():
    target = torch.zeros(3, 8, 8, dtype=torch.bool)
    target[0].view(-1)[:9] = True
    target[1].view(-1)[:10] = True
    points, labels = sample_clicks(target, torch.zeros_like(target), None, torch.full((3, 2), 0.99), stride=4)
    assert labels.tolist() == [[-2, -2], [1, 1], [-2, -2]]
    assert points[0].eq(0).all() and points[2].eq(0).all() and points[1].ne(0).any()


def test_padding_is_never_clicked_nor_counted():
    target = torch.ones(2, 8, 8, dtype=torch.bool)
    valid = torch.zeros(1, 8, 8, dtype=torch.bool)
    valid[:, :3, :5] = True
    noise = torch.rand(2, 300, generator=torch.Generator().manual_seed(0))
    points, labels = sample_clicks(target, ~target, valid, noise, stride=1)
    assert labels.eq(1).all()
    assert points[..., 0].max() == 4 and points[..., 1].max() == 2
    valid[:, 1:] = False
    assert sample_clicks(target, ~target, valid, noise, stride=1)[1].eq(-2).all()


def test_last_rows_of_a_large_mask_are_reached():
    target = torch.zeros(1, 1024, 1024, dtype=torch.bool)
    target[0, 1000:, :] = True
    points, _ = sample_clicks(target, ~target, None, torch.tensor([[0.999999]]), stride=1)
    assert points[0, 0, 1] == 1023


def test_device_is_never_waited_for():
    """Everything runs on tensors without content, so nothing can depend on reading one back."""
    target = torch.zeros(4, 16, 16, dtype=torch.bool, device="meta")
    points, labels = sample_clicks(target, target, target, torch.zeros(4, 2, device="meta"), stride=4)
    assert points.shape == (4, 2, 2) and labels.shape == (4, 2)
