import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from scipy import stats

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.ground_truth import make_truth, noise_of
from edge_sam.evaluation.instances import EvaluationDataset
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.prompts.first_points import mask_center_points, mask_random_points
from tests.evaluation import naive


def cropped(mask):
    """A mask as an annotation gives it: without an empty border."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return CroppedMask.from_crop(mask)
    return CroppedMask.from_crop(
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rows[0]), int(columns[0])
    )


def truth_of(masks, size, ground_truth, kinds=(), noise=None):
    noise = [0.0] * len(masks) if noise is None else noise
    return make_truth([cropped(mask) for mask in masks], masks[0].shape, size, ground_truth, kinds, noise)


@pytest.mark.parametrize("ground_truth", ["exact", "edgesam"])
def test_agrees_with_the_reference_evaluation(golden, ground_truth):
    arrays = golden("evaluation")
    original_size = tuple(int(side) for side in arrays["size"])
    rle = [{"size": original_size, "counts": str(text).encode()} for text in arrays["rle"]]
    truth = truth_of([coco_mask.decode(one) for one in rle], (768, 1024), ground_truth)
    logits = naive.enlarge_logits(torch.from_numpy(arrays["logits"]), 1024, (768, 1024), original_size)
    wanted = torch.from_numpy(np.stack([naive.whole(mask, original_size) for mask in truth.masks])).bool()
    iou = naive.mask_iou(logits > 0, wanted)[:, 0]
    np.testing.assert_allclose(iou, arrays[f"iou_{ground_truth}"], atol=1e-4)


def test_centres_lie_near_the_reference(golden):
    arrays = golden("evaluation")
    rle = [{"size": [480, 640], "counts": str(text).encode()} for text in arrays["rle"]]
    truth = truth_of([coco_mask.decode(one) for one in rle], (768, 1024), "edgesam", ("mask-center",))
    assert np.abs(truth.points["mask-center"] - arrays["centroids_1024"]).max() <= 2


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), original=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)), share=st.sampled_from([0.02, 0.3, 0.9]),
)  # fmt: skip
def test_crops_give_the_masks_and_points_of_the_whole_picture(seed, original, size, share):
    rng = np.random.default_rng(seed)
    masks = [(rng.random(original) < share).astype(np.uint8) for _ in range(2)]
    masks[1][: original[0] // 2] = 0
    noise = rng.random(2)
    exact = truth_of(masks, size, "exact", ("mask-center", "mask-rand"), noise)
    published = truth_of(masks, size, "edgesam", ("mask-center", "mask-rand"), noise)
    for number, mask in enumerate(masks):
        near, back = naive.enlarge(mask, size), naive.resample_as_published(mask, size)
        assert np.array_equal(naive.whole(exact.masks[number], original), mask)
        assert np.array_equal(naive.whole(published.masks[number], original), back)
        assert exact.present[number] == mask.any() and published.present[number] == (near.any() and back.any())
        for truth, pointed, scale in (
            (exact, mask, (size[1] / original[1], size[0] / original[0])),
            (published, near, (1, 1)),
        ):
            if not truth.present[number]:
                assert all(points[number].tolist() == [0, 0] for points in truth.points.values())
                continue
            center, drawn = mask_center_points([pointed])[0], mask_random_points([pointed], [noise[number]])[0]
            np.testing.assert_allclose(truth.points["mask-center"][number], center * scale, rtol=1e-6)
            np.testing.assert_allclose(truth.points["mask-rand"][number], drawn * scale, rtol=1e-6)


@pytest.mark.parametrize("original", [(480, 640), (427, 640), (1500, 2250), (333, 500)])
def test_published_resampling_at_real_sizes(original):
    rows, columns = np.mgrid[: original[0], : original[1]]
    mask = (np.hypot(rows - original[0] / 3, columns - original[1] / 2) < original[0] / 5).astype(np.uint8)
    size = (round(original[0] * 1024 / original[1]), 1024)
    (found,) = truth_of([mask], size, "edgesam").masks
    assert np.array_equal(naive.whole(found, original), naive.resample_as_published(mask, size))


def test_published_resampling_grows_masks_and_exact_does_not():
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[20:30, 20:40] = 1
    assert truth_of([mask], (96, 128), "edgesam").masks[0].area == 200, "twice the size and back meets pixel middles"
    assert truth_of([mask], (77, 102), "edgesam").masks[0].area > 200
    assert truth_of([mask], (77, 102), "exact").masks[0].area == 200


def test_points_of_exact_masks_are_scaled_to_the_input():
    mask = np.zeros((40, 80), dtype=np.uint8)
    mask[10:21, 30:41] = 1
    truth = truth_of([mask], (128, 256), "exact", ("mask-center", "mask-rand", "point", "box-center"), [0.999])
    assert set(truth.points) == {"mask-center", "mask-rand"}, "the others need no mask"
    np.testing.assert_allclose(truth.points["mask-center"], [[35 * 3.2, 15 * 3.2]])
    np.testing.assert_allclose(truth.points["mask-rand"], [[40 * 3.2, 20 * 3.2]])


def test_mask_that_vanishes_at_input_size_is_empty():
    masks = [np.zeros((400, 400), dtype=np.uint8) for _ in range(3)]
    masks[1][3, 3] = 1
    masks[2][100:200, 100:200] = 1
    exact = truth_of(masks, (100, 100), "exact", ("mask-center",))
    published = truth_of(masks, (100, 100), "edgesam", ("mask-center",))
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


def test_masks_of_photographs_are_those_of_the_plain_way(shared):
    dataset = Sa1bDataset(shared("realdata", "SA-1B"), "val", 256, 4, keep_annotations=True)
    protocols = [EvaluationProtocol("point", "mask-center", ground_truth=one) for one in ("exact", "edgesam")]
    images = EvaluationDataset(dataset, protocols)
    for index in range(len(dataset)):
        image = images[index]
        for number, annotation in enumerate(dataset[index].annotations):
            mask = annotation.decode()
            expected = {"exact": mask, "edgesam": naive.resample_as_published(mask, image.size)}
            for ground_truth, truth in image.truths.items():
                assert np.array_equal(naive.whole(truth.masks[number], mask.shape), expected[ground_truth])
