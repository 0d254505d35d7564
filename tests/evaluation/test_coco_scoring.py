"""AP equals that of pycocotools on COCO; LVIS's rules hold in cases worked out by hand; intervals count as AP does."""

import contextlib
import copy
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.evaluation import coco_scoring
from edge_sam.evaluation.bootstrap import interval_of_draws
from edge_sam.evaluation.boundary import boundary_iou
from edge_sam.evaluation.coco_ground_truth import GroundTruthMasks, ground_truth_masks
from edge_sam.evaluation.coco_scoring import average_precision
from edge_sam.evaluation.scored_masks import ScoredMasks
from tests.synthetic_coco import COCO_FILE, LVIS_FILE, read_tree, write_coco, write_lvis, write_tree

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl"]


def encode(mask):
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def scored(index, masks, scores, categories):
    size = tuple(masks[0]["size"]) if masks else (1, 1)
    counts = [mask["counts"] for mask in masks]
    return ScoredMasks(index, size, counts, np.array(scores, np.float64), np.array(categories, np.int64))


def ap(*counted, **options):
    return average_precision(*counted, **options).numbers


def like(truth, categories, seed):
    """Masks that resemble the annotated ones more or less, some twice, some of another category, with equal scores."""
    rng = np.random.default_rng(seed)
    found = []
    for image in truth.tree["images"]:
        masks, scores, labels = [], [], []
        for entry in truth.tree["annotations"]:
            if entry["image_id"] != image["id"]:
                continue
            for _ in range(rng.integers(0, 3)):
                mask = np.roll(mask_utils.decode(entry["segmentation"]), rng.integers(-4, 5, 2), axis=(0, 1))
                masks.append(encode(ndimage.binary_erosion(mask, iterations=int(rng.integers(1, 4)))))
                scores.append(float(rng.integers(1, 6) / 5))
                labels.append(entry["category_id"] if rng.random() < 0.8 else int(rng.choice(categories)))
        found.append(scored(image["id"] - 1, masks, scores, labels))
    return found


def by_pycocotools(truth, found, max_dets=None):
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = copy.deepcopy(truth.tree)
        annotated.createIndex()
        results = [
            {"image_id": one.index + 1, "category_id": label, "score": score, "segmentation": mask}
            for one in found
            for mask, score, label in zip(map(one.mask, range(len(one))), one.scores, one.categories, strict=True)
        ]
        evaluation = COCOeval(annotated, annotated.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats[:6].tolist(), strict=True))


def as_found(truth, scores=None):
    """The ground truth itself, but for crowds."""
    found = []
    for image in truth.tree["images"]:
        own = [one for one in truth.tree["annotations"] if one["image_id"] == image["id"] and not one["iscrowd"]]
        found.append(
            scored(
                image["id"] - 1,
                [one["segmentation"] for one in own],
                [1.0] * len(own) if scores is None else scores,
                [one["category_id"] for one in own],
            )
        )
    return found


def agree(ours, theirs):
    assert list(ours) == NAMES
    for name in NAMES:
        assert (ours[name] is None and theirs[name] == -1) or ours[name] == pytest.approx(theirs[name], abs=1e-9), name


def counted_once(monkeypatch, truth, found, style="coco", times=None, **options):
    """The interval's own count of one draw, by name: each image once, or as often as ``times`` says."""
    times = np.ones(len(truth.tree["images"]), np.uint8) if times is None else times
    with monkeypatch.context() as patched:
        patched.setattr(coco_scoring, "draw_images", lambda number: times[None])
        result = average_precision(truth, found, style, **options)
    return {name: -1 if value is None else value for name, value in result.drawn.items()}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ap_is_that_of_pycocotools(monkeypatch, tmp_path, seed):
    dataset = CocoDataset(write_coco(tmp_path, 8), "coco", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(8))
    assert truth.crowds == 7 and truth.objects > 15 and not truth.refusals
    found = like(truth, [1, 3, 90], seed)
    ours, theirs = ap(truth, found, "coco"), by_pycocotools(truth, found)
    assert 0.05 < ours["AP"] < 0.9
    agree(ours, theirs)
    agree(ours, counted_once(monkeypatch, truth, found))


def test_ap_is_that_of_pycocotools_on_real_annotations(monkeypatch, shared):
    monkeypatch.setattr(coco_scoring, "draw_images", lambda number: np.ones((1, number), np.uint8))
    dataset = CocoDataset(shared("realdata", "coco").parent, "coco", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(80))
    assert (truth.objects, truth.crowds) == (548, 5)
    found = like(truth, [1, 2, 62], 5)
    ours, theirs = average_precision(truth, found, "coco"), by_pycocotools(truth, found)
    agree(ours.numbers, theirs)
    agree(ours.drawn, theirs)
    for boundary in (False, True):
        perfect = average_precision(truth, as_found(truth), "coco", boundary=boundary)
        assert set(perfect.numbers.values()) == set(perfect.drawn.values()) == {1.0}


@pytest.mark.parametrize("style", ["coco", "lvis"])
@pytest.mark.parametrize("boundary", [False, True])
def test_ground_truth_as_prediction_gives_one(tmp_path, style, boundary):
    root = write_coco(tmp_path, 5) if style == "coco" else write_lvis(tmp_path, 5)
    dataset = CocoDataset(root, style, 256)
    truth = ground_truth_masks(dataset, range(len(dataset)))
    result = average_precision(truth, as_found(truth), style, boundary=boundary)
    assert set(result.numbers.values()) <= {1.0, None} and result.numbers["AP"] == 1.0
    assert list(result.numbers) == NAMES + (["APr", "APc", "APf"] if style == "lvis" else [])
    assert {name: one and one.low == one.high == 1 for name, one in result.intervals.items()} == result.numbers


@pytest.mark.parametrize(("style", "boundary"), [("coco", True), ("lvis", False), ("lvis", True)])
def test_the_count_of_intervals_is_that_of_faster_coco_eval(monkeypatch, tmp_path, style, boundary):
    root = write_coco(tmp_path, 8) if style == "coco" else write_lvis(tmp_path, 8)
    tree = read_tree(root / (COCO_FILE if style == "coco" else LVIS_FILE))
    for number, image in enumerate(tree["images"]):
        image |= {"neg_category_ids": [90] * (number % 2), "not_exhaustive_category_ids": [3] * (number % 3 == 0)}
    write_tree(root / (COCO_FILE if style == "coco" else LVIS_FILE), tree["images"], tree["annotations"])
    dataset = CocoDataset(root, style, 256)
    truth = ground_truth_masks(dataset, range(len(dataset)))
    found = like(truth, [1, 3, 90], 0)
    numbers = ap(truth, found, style, boundary=boundary)
    drawn = counted_once(monkeypatch, truth, found, style, boundary=boundary)
    assert 0 < numbers["AP"] < 1
    assert [-1 if value is None else value for value in numbers.values()] == pytest.approx(
        list(drawn.values()), abs=1e-9
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_an_image_drawn_twice_counts_as_two(monkeypatch, tmp_path, seed):
    dataset = CocoDataset(write_coco(tmp_path, 8), "coco", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(8))
    rng = np.random.default_rng(seed)
    # Where scores differ it does not matter in which order copies stand.
    found = [replace(one, scores=rng.random(len(one))) for one in like(truth, [1, 3, 90], seed)]
    times = rng.permutation([0, 0, 0, 1, 1, 2, 2, 2]).astype(np.uint8)
    tree = {"images": [], "annotations": [], "categories": truth.tree["categories"]}
    copies = []
    for number in np.repeat(np.arange(8), times):
        tree["images"].append(truth.tree["images"][number] | {"id": len(copies) + 1})
        for one in truth.tree["annotations"]:
            if one["image_id"] == number + 1:
                tree["annotations"].append(one | {"id": len(tree["annotations"]) + 1, "image_id": len(copies) + 1})
        copies.append(replace(found[number], index=len(copies)))
    expected = by_pycocotools(GroundTruthMasks(tree, 0, 0, (), (), ()), copies)
    drawn = counted_once(monkeypatch, truth, found, times=times)
    assert [drawn[name] for name in NAMES] == pytest.approx([expected[name] for name in NAMES], abs=1e-9)


def test_intervals_hold_the_number_and_are_the_same_every_time(tmp_path):
    dataset = CocoDataset(write_coco(tmp_path, 8), "coco", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(8))
    first, second = (average_precision(truth, like(truth, [1, 3, 90], 0), "coco") for _ in range(2))
    assert first == second
    low, high = first.intervals["AP"]
    assert low < first.numbers["AP"] < high and high - low > 0.02


def test_intervals_are_moved_to_the_number(monkeypatch, tmp_path):
    """Draws have fewer different images, and AP of fewer images is higher: unmoved, they may lie beside the number."""
    dataset = CocoDataset(write_coco(tmp_path, 8), "coco", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(8))
    result = average_precision(truth, like(truth, [1, 3, 90], 0), "coco")
    monkeypatch.setattr(coco_scoring, "interval_around", lambda number, values: interval_of_draws(values))
    unmoved = average_precision(truth, like(truth, [1, 3, 90], 0), "coco")
    moved_by = result.numbers["AP"] - result.drawn["AP"]
    expected = [end + moved_by for end in unmoved.intervals["AP"]]
    assert abs(moved_by) > 1e-4 and result.intervals["AP"] == pytest.approx(expected, abs=1e-12)


def test_images_that_are_not_counted_do_not_count(tmp_path):
    dataset = CocoDataset(write_coco(tmp_path, 4), "coco", 256)
    everything = ground_truth_masks(dataset, range(3))
    some = ground_truth_masks(dataset, [0, 2])
    assert some.objects < everything.objects and len(some.sha256) == 2
    assert ap(some, as_found(some), "coco")["AP"] == 1.0
    assert ap(everything, as_found(some), "coco")["AP"] < 1.0
    assert set(some.sha256) < set(everything.sha256)


def test_nothing_found_is_zero_and_no_object_of_a_size_is_none(tmp_path):
    dataset = CocoDataset(write_coco(tmp_path, 3), "coco", 256)
    truth = ground_truth_masks(dataset, range(2))
    result = average_precision(truth, [scored(0, [], [], []), scored(1, [], [], [])], "coco")
    assert result.numbers["AP"] == 0.0 and result.numbers["APl"] is None
    assert result.intervals["AP"] == (0.0, 0.0) and result.intervals["APl"] is None


@pytest.mark.parametrize("thinner", [1, 2, 3])
def test_boundary_ap_asks_for_both_iou(tmp_path, thinner):
    """Of one object AP is the share of thresholds up to the smaller of the two IoU."""
    root = write_coco(tmp_path, 2)
    tree = read_tree(root / COCO_FILE)
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"][:1])
    truth = ground_truth_masks(CocoDataset(root, "coco", 256), [0])
    mask = mask_utils.decode(truth.tree["annotations"][0]["segmentation"]).astype(bool)
    found = ndimage.binary_erosion(mask, iterations=thinner)
    one = [scored(0, [encode(found)], [1.0], [truth.tree["annotations"][0]["category_id"]])]
    iou = (found & mask).sum() / (found | mask).sum()
    both = min(iou, boundary_iou(found, mask, mask.shape))
    assert both < iou - 0.05
    for boundary, value in ((False, iou), (True, both)):
        passed = np.mean(value >= np.linspace(0.5, 0.95, 10))
        assert ap(truth, one, "coco", boundary=boundary)["AP"] == pytest.approx(passed)


def square(left, top, side=10, size=(60, 80)):
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return encode(mask)


@pytest.fixture
def lvis(tmp_path):
    """One image with an object of category 1, where 3 was looked for in vain, and 90 is not annotated throughout."""
    root = write_lvis(tmp_path, 1)
    tree = read_tree(root / LVIS_FILE)
    image = tree["images"][0] | {"height": 60, "width": 80}
    image |= {"neg_category_ids": [3], "not_exhaustive_category_ids": [90]}
    entries = [
        {"id": 1, "image_id": 101, "category_id": 1, "segmentation": square(5, 5), "bbox": [5, 5, 10, 10], "area": 100},
        {
            "id": 2,
            "image_id": 101,
            "category_id": 90,
            "segmentation": square(40, 5),
            "bbox": [40, 5, 10, 10],
            "area": 100,
        },
    ]
    write_tree(root / LVIS_FILE, [image], entries)
    return CocoDataset(root, "lvis", 256)


def lvis_ap(dataset, *found):
    truth = ground_truth_masks(dataset, [0])
    masks, scores, categories = zip(*found, strict=True)
    numbers = ap(truth, [scored(0, masks, scores, categories).countable("lvis")], "lvis")
    return numbers["AP"], numbers["APr"], numbers["APc"], numbers["APf"]


def test_lvis_counts_only_categories_that_were_looked_for(lvis):
    right = [(square(5, 5), 0.5, 1), (square(40, 5), 0.5, 90)]
    assert lvis_ap(lvis, *right) == (1.0, 1.0, None, 1.0)
    # Rare 1 is annotated throughout: a wrong mask before the right one halves the precision.
    assert lvis_ap(lvis, *right, (square(20, 40), 0.9, 1)) == pytest.approx((0.75, 0.5, None, 1.0), nan_ok=True)
    # Frequent 90 is not: a wrong mask may be an object that nobody annotated.
    assert lvis_ap(lvis, *right, (square(20, 40), 0.9, 90)) == (1.0, 1.0, None, 1.0)


def test_lvis_passes_over_images_without_a_category_that_was_looked_for(tmp_path):
    dataset = CocoDataset(write_lvis(tmp_path, 3), "lvis", 256, annotated_only=False)
    truth = ground_truth_masks(dataset, range(3))
    found = as_found(truth)
    assert not len(found[2])
    found[2] = scored(2, [truth.tree["annotations"][0]["segmentation"]], [0.9], [1])
    assert ap(truth, found, "lvis")["AP"] == 1.0


def test_lvis_counts_the_best_300_masks_of_an_image(lvis):
    wrong = [(square(60, 40), 0.9, 3)] * 299
    right = [(square(5, 5), 0.5, 1), (square(40, 5), 0.4, 90)]
    assert lvis_ap(lvis, *wrong, *right) == (0.5, 1.0, None, 0.0)
    assert lvis_ap(lvis, *wrong[1:], *right) == (1.0, 1.0, None, 1.0)
