import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from scipy import stats

from edge_sam.evaluation.ground_truth import enlarge, make_truth, noise_of, resample_as_published, unpack
from edge_sam.evaluation.simulated_user import mask_iou
from edge_sam.modeling.sam import Sam


class _Square:
    image_size = 1024


@pytest.mark.parametrize("ground_truth", ["exact", "edgesam"])
def test_agrees_with_the_reference_evaluation(golden, ground_truth):
    arrays = golden("evaluation")
    height, width = (int(side) for side in arrays["size"])
    rle = [{"size": [height, width], "counts": str(text).encode()} for text in arrays["rle"]]
    truth = make_truth([coco_mask.decode(one) for one in rle], (768, 1024), ground_truth, (), [0.0] * len(rle))
    logits = Sam.postprocess_masks(_Square(), torch.from_numpy(arrays["logits"]), (768, 1024), (height, width))
    iou = mask_iou(logits > 0, unpack(torch.from_numpy(truth.bits), width))[:, 0]
    np.testing.assert_allclose(iou, arrays[f"iou_{ground_truth}"], atol=1e-4)


def test_centres_lie_near_the_reference(golden):
    arrays = golden("evaluation")
    rle = [{"size": [480, 640], "counts": str(text).encode()} for text in arrays["rle"]]
    masks = [coco_mask.decode(one) for one in rle]
    truth = make_truth(masks, (768, 1024), "edgesam", ("mask-center",), [0.0] * len(rle))
    assert np.abs(truth.points["mask-center"] - arrays["centroids_1024"]).max() <= 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), height=st.integers(1, 12), width=st.integers(1, 20))
def test_packed_masks_come_back(seed, count, height, width):
    masks = (np.random.default_rng(seed).random((count, height, width)) < 0.5).astype(np.uint8)
    truth = make_truth(list(masks), (height, width), "exact", (), [0.0] * count)
    assert torch.equal(unpack(torch.from_numpy(truth.bits), width), torch.from_numpy(masks).bool())
    assert truth.present.tolist() == masks.any(axis=(1, 2)).tolist()


def test_published_resampling_grows_masks_and_exact_does_not():
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[20:30, 20:40] = 1
    back = resample_as_published(enlarge(mask, (96, 128)), (48, 64))
    assert back.sum() == mask.sum(), "twice the size and back meets pixel middles"
    back = resample_as_published(enlarge(mask, (77, 102)), (48, 64))
    assert back.sum() > mask.sum() and (back >= mask).all()


def test_points_of_exact_masks_are_scaled_to_the_input():
    mask = np.zeros((40, 80), dtype=np.uint8)
    mask[10:21, 30:41] = 1
    truth = make_truth([mask], (128, 256), "exact", ("mask-center", "mask-rand", "point", "box-center"), [0.999])
    assert set(truth.points) == {"mask-center", "mask-rand"}, "the others need no mask"
    np.testing.assert_allclose(truth.points["mask-center"], [[35 * 3.2, 15 * 3.2]])
    np.testing.assert_allclose(truth.points["mask-rand"], [[40 * 3.2, 20 * 3.2]])


def test_mask_that_vanishes_at_input_size_is_empty():
    masks = [np.zeros((400, 400), dtype=np.uint8) for _ in range(3)]
    masks[1][3, 3] = 1
    masks[2][100:200, 100:200] = 1
    exact = make_truth(masks, (100, 100), "exact", ("mask-center",), [0.0] * 3)
    published = make_truth(masks, (100, 100), "edgesam", ("mask-center",), [0.0] * 3)
    assert exact.present.tolist() == [False, True, True]
    assert published.present.tolist() == [False, False, True]
    assert published.points["mask-center"][:2].tolist() == [[0, 0], [0, 0]]
    assert (published.points["mask-center"][2] > 25).all()


def test_noise_belongs_to_its_instance_and_round():
    keys = [
        (seed, name, instance, r) for seed in (0, 1) for name in ("a", "b") for instance in (0, 1) for r in (0, 1, 2)
    ]
    values = [noise_of(*key) for key in keys]
    assert len(set(values)) == len(values)
    assert values == [noise_of(*key) for key in keys]
    many = [noise_of(0, "sa_1", instance, 1) for instance in range(2000)]
    assert stats.kstest(many, "uniform").pvalue > 1e-3
    assert min(many) >= 0 and max(many) < 1
