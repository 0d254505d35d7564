"""From boxes to AP: masks as naive upsampling gives them, the same however the work is cut up, nothing dropped."""

import json
import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from pycocotools import mask as mask_utils

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.distributed import World, process_group
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation import average_precision as module
from edge_sam.evaluation.ap_protocol import ApProtocol
from edge_sam.evaluation.average_precision import evaluate_ap
from edge_sam.evaluation.coco_ground_truth import ground_truth_masks
from edge_sam.evaluation.coco_scoring import average_precision
from edge_sam.evaluation.detections import AnnotatedBoxes, DetectedBoxes
from tests.evaluation.disc_sam import DiscDecoder, DiscSam, watch_number_formats
from tests.synthetic_coco import COCO_FILE, read_tree, write_coco, write_tree

PROTOCOL = ApProtocol("ground truth")
LARGE = ApProtocol("ground truth", num_multimask_outputs=3, multimask_select="area")
"""The disc that covers some of the ellipses."""


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, 5)


@pytest.fixture
def dataset(root):
    return CocoDataset(root, "coco", 256, annotated_only=False)


def measure(dataset, protocol=PROTOCOL, sam=None, source=None, world=None, **options):
    options = {"num_workers": 0, "image_batch": 2, "max_prompts": 3} | options
    world = world or World(0, 1, torch.device("cpu"))
    return evaluate_ap(
        sam or DiscSam().eval(), dataset, source or AnnotatedBoxes(dataset), protocol, world=world, **options
    )


@pytest.fixture
def counted(monkeypatch):
    """What reaches the counting."""
    calls = []

    def spy(truth, found, style, *, boundary=False):
        calls.append((truth, found))
        return average_precision(truth, found, style, boundary=boundary)

    monkeypatch.setattr(module, "average_precision", spy)
    return calls


def masks_of(found):
    return [found.mask(number) for number in range(len(found))]


def test_masks_are_those_of_the_whole_picture(dataset, counted):
    result = measure(dataset)
    ((truth, found),) = counted
    assert result.mask_ap == average_precision(truth, found, "coco") and result.boundary_ap is None
    assert (result.images, result.objects, result.crowds) == (5, truth.objects, 4)
    assert result.boxes == sum(len(one) for one in found) == truth.objects and not result.failures
    sam = DiscSam().eval()
    for index, one in enumerate(found):
        sample = dataset[index]
        if not len(sample.boxes):
            assert not len(one)
            continue
        pixels = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
        pixels[0, :, : sample.size[0], : sample.size[1]] = sample.image
        embedding = sam.image_encoder(sam.preprocess(pixels, torch.tensor([sample.size])))
        sparse, dense = sam.prompt_encoder(None, sample.boxes, None)
        low_res, _ = sam.mask_decoder(embedding, None, sparse, dense, 1)
        whole = sam.postprocess_masks(low_res, sample.size, sample.original_size)[:, 0]
        decoded = torch.from_numpy(np.stack([mask_utils.decode(mask) for mask in masks_of(one)])).bool()
        assert not ((whole > 0) != decoded)[whole.abs() > 1e-4].any()


def test_answers_do_not_depend_on_how_the_work_is_cut_up(dataset):
    results = [
        measure(dataset, replace(LARGE, boundary=True, ranking="box-x-iou"), **options)
        for options in ({}, {"image_batch": 5, "max_prompts": 1}, {"num_workers": 2, "max_prompts": 100})
    ]
    assert results[0] == results[1] == results[2]
    assert 0 <= results[0].boundary_ap.numbers["AP"] < results[0].mask_ap.numbers["AP"] < 1


def _measure_as_rank(rank, root, port, folder):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(port)
    with process_group(only_cpu=True) as world:
        result = measure(CocoDataset(root, "coco", 256, annotated_only=False), world=world)
    (folder / f"{rank}.txt").write_text(repr(result))


@pytest.mark.slow
def test_processes_share_the_work_and_agree(root, dataset, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_measure_as_rank, (root, port, tmp_path), nprocs=2)
    alone = repr(measure(dataset))
    assert (tmp_path / "0.txt").read_text() == (tmp_path / "1.txt").read_text() == alone


def test_ranking_and_choice_of_mask(dataset, counted):
    measure(dataset)
    measure(dataset, replace(PROTOCOL, num_multimask_outputs=3, multimask_select="area", ranking="box-x-iou"))
    measure(dataset, replace(PROTOCOL, num_multimask_outputs=4, multimask_select="score", ranking="box-x-iou"))
    first, area, score = (found[0] for _, found in counted)
    assert set(first.scores) == {1.0}
    # The disc of radius 45 is the largest, and has the best score, too.
    assert area.scores == pytest.approx([0.9] * len(first.scores)) and area.counts == score.counts
    sizes = [mask_utils.area(masks_of(one)) for one in (first, area)]
    assert (sizes[0] < sizes[1]).all()


def test_masks_where_nothing_is_count_against_the_model(root, dataset):
    tree = read_tree(root / COCO_FILE)
    perfect = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.5}
        for one in tree["annotations"]
        if not one["iscrowd"]
    ]
    extra = [{"image_id": 105, "category_id": one, "bbox": [9, 9, 50, 50], "score": 0.9} for one in (1, 3, 90)]
    numbers = []
    for entries in (perfect, perfect + extra):
        (root / "boxes.json").write_text(json.dumps(entries))
        numbers.append(measure(dataset, LARGE, source=DetectedBoxes(root / "boxes.json", dataset)).mask_ap)
    numbers = [one.numbers["AP50"] for one in numbers]
    assert 0 < numbers[1] < numbers[0]


def test_images_without_a_box_are_counted(root, dataset):
    """Boxes of some other images, or of too few, would only lower the numbers."""
    boxes = [{"image_id": 102, "category_id": 1, "bbox": [9, 9, 50, 50], "score": 0.9}]
    (root / "boxes.json").write_text(json.dumps(boxes))
    result = measure(dataset, source=DetectedBoxes(root / "boxes.json", dataset))
    assert (result.images, result.without_boxes) == (5, 3)  # the last one has no object
    assert measure(dataset).without_boxes == 0


def test_boxes_out_of_pictures_and_of_images_that_are_not_measured_are_named(root):
    some = CocoDataset(root, "coco", 256, 2, annotated_only=False)
    boxes = [{"image_id": 101, "category_id": 1, "bbox": [9, 9, 50, 50], "score": 0.9} for _ in range(20)]
    boxes += [boxes[0] | {"bbox": [-60, 9, 50, 50], "score": 0.95}, boxes[0] | {"image_id": 104}]
    (root / "boxes.json").write_text(json.dumps(boxes))
    result = measure(some, source=DetectedBoxes(root / "boxes.json", some))
    assert (result.strayed, result.unused, result.boxes) == ((("sa_0_000", 0),), ((104, 1),), 21)
    truth = measure(some)
    assert truth.strayed == truth.unused == ()


def test_a_detectors_boxes_of_unreadable_images_are_named(root, dataset):
    one = {"image_id": 101, "category_id": 1, "bbox": [9, 9, 50, 50], "score": 0.9}
    (root / "boxes.json").write_text(json.dumps([one, one | {"image_id": 102}, one | {"image_id": 102}]))
    for name in ("sa_0_001", "sa_0_002"):
        (root / "coco" / "val2017" / f"{name}.jpg").unlink()
    result = measure(dataset, source=DetectedBoxes(root / "boxes.json", dataset))
    assert (result.images, result.boxes, result.unused) == (3, 1, ((102, 2),))
    assert measure(dataset).unused == ()


@pytest.mark.parametrize(("amp", "number_format"), [(False, torch.float32), (True, torch.bfloat16)])
def test_networks_compute_in_bf16_where_that_is_asked_for(dataset, amp, number_format):
    sam, formats = DiscSam().eval(), []
    watch_number_formats(sam, formats)
    measure(dataset, sam=sam, amp=amp)
    assert set(formats) == {number_format} and len(formats) > len(dataset)


def test_the_hash_is_of_the_pictures_too(root, dataset):
    before = measure(dataset)
    picture = root / "coco" / "val2017" / "sa_0_002.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    after = measure(dataset)
    assert after.data_sha256 != before.data_sha256 and replace(after, data_sha256=before.data_sha256) == before


class PartlyNoNumbers(DiscDecoder):
    """Gives NaN for boxes whose middle is in the right half."""

    def forward(self, embedding, pe, sparse, dense, num_multimask_outputs, image_index=None):
        masks, scores = super().forward(embedding, pe, sparse, dense, num_multimask_outputs)
        return torch.where((sparse[:, 0, 0] > 128)[:, None, None, None], torch.nan, masks), scores


def test_no_number_is_an_empty_mask_with_the_score_of_its_box(dataset, counted):
    sam = DiscSam().eval()
    sam.mask_decoder = PartlyNoNumbers()
    result = measure(dataset, replace(PROTOCOL, ranking="box-x-iou"), sam)
    expected = []
    for index, one in enumerate(counted[0][1]):
        boxes = dataset[index].boxes.numpy()
        bad = (boxes[:, 0] + boxes[:, 2]) / 2 > 128
        expected += [(dataset.ids[index], int(number)) for number in np.flatnonzero(bad)]
        assert [mask_utils.area(mask) == 0 for mask in masks_of(one)] == bad.tolist()
        assert np.allclose(one.scores, np.where(bad, 1.0, 0.5))
    assert result.failures == tuple(expected) and len(expected) > 2
    assert result.boxes == result.objects


def test_what_is_broken_is_told_and_left_out(root):
    tree = read_tree(root / COCO_FILE)
    tree["annotations"][0]["segmentation"] = None
    tree["annotations"][1]["bbox"] = [0, 0, 0, 0]
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    (root / "coco" / "val2017" / "sa_0_001.jpg").unlink()
    dataset = CocoDataset(root, "coco", 256, annotated_only=False)
    result = measure(dataset)
    told = [(one.image_id, one.kind, one.reason.split(":")[0]) for one in result.refusals]
    assert told == [
        ("sa_0_000", "annotation", "annotation 1"),
        ("sa_0_000", "annotation", "annotation 2"),
        ("sa_0_001", "image", "sa_0_001.jpg cannot be read (No such file or directory)"),
    ]
    assert result.images == 4 and result.boxes == result.objects - 1
    truth = ground_truth_masks(dataset, [0, 2, 3, 4])
    assert (truth.objects, truth.crowds) == (result.objects, result.crowds)
    for picture in (root / "coco" / "val2017").iterdir():
        picture.write_bytes(b"")
    with pytest.raises(EdgeSamError, match="none of 5 images can be read; the first: sa_0_00"):
        measure(dataset)


def test_the_line_tells_the_whole_protocol():
    line = ApProtocol("ground truth", boundary=True).describe()
    for part in ("boxes: ground truth", "single-mask token", "the box's score", "0.50:0.05:0.95", "boundary", "COCO"):
        assert part in line
    other = ApProtocol("a.json", "lvis", 3, "stability", "box-x-iou").describe()
    for part in ("boxes: a.json", "stability score (offset 1) of 3", "x predicted IoU", "LVIS", "300"):
        assert part in other
    assert ApProtocol("a.json").to_json()["line"] == ApProtocol("a.json").describe()
