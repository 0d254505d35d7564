import json

import numpy as np
import pytest
import torch
from PIL import Image

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.sources import open_source
from edge_sam.demo.examples import KINDS, SHARE_OF_PICTURE, answer, choose_examples
from edge_sam.demo.gallery import training_pictures
from edge_sam.distributed import World
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sa1b(tmp_path_factory.mktemp("data"), "val", 7)


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("rep_vit_m1", 256).eval()


def choose(data, count, instances=8):
    source = open_source(data, "val")
    return choose_examples(source, source.ids, count, instances)


def test_examples_lie_evenly_and_prompts_take_turns(data):
    examples = choose(data, 4)
    assert [example.image_id for example in examples] == ["sa_0_000", "sa_0_002", "sa_0_004", "sa_0_006"]
    assert [example.kind for example in examples] == [*KINDS, KINDS[0]]
    for example in examples:
        assert SHARE_OF_PICTURE[0] <= example.truth.mean() <= SHARE_OF_PICTURE[1]
        column, row = example.point.astype(int)
        assert example.truth[row, column]


def test_there_are_no_more_examples_than_images(data):
    assert len(choose(data, 50)) == 7


def test_a_broken_image_is_passed_over(data, tmp_path):
    root = write_sa1b(tmp_path, "val", 3)
    (root / "images" / "val" / "sa_0_001.jpg").write_bytes(b"no image")
    assert [example.image_id for example in choose(root, 3)] == ["sa_0_000", "sa_0_002"]


def with_another_size(root):
    """Cut the second picture off its masks' size."""
    file = root / "images" / "val" / "sa_0_001.jpg"
    with Image.open(file) as picture:
        cut = picture.crop((0, 0, 200, 100))
    cut.save(file)
    return root


def test_a_picture_of_another_size_than_its_masks_is_passed_over(tmp_path):
    root = with_another_size(write_sa1b(tmp_path, "val", 3))
    assert [example.image_id for example in choose(root, 3)] == ["sa_0_000", "sa_0_002"]
    source = open_source(root, "val")
    assert len(training_pictures(source, list(source.ids))) == 2


def test_a_mask_without_a_pixel_is_no_example(tmp_path):
    root = write_sa1b(tmp_path, "val", 1)
    file = root / "annotations" / "val" / "sa_0_000.json"
    content = json.loads(file.read_text())
    sound = {**content["annotations"][0], "area": 0.1 * 192 * 256}
    sliver = {**sound, "segmentation": [[5, 5, 90, 5, 90, 5.1]]}
    file.write_text(json.dumps({**content, "annotations": [sound, sliver]}))
    (example,) = choose(root, 1)
    assert example.number == 0 and example.truth.any()


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [
        ("box", EvaluationProtocol("box")),
        ("centre point", EvaluationProtocol("point", "mask-center")),
        ("centre point + 2 clicks", EvaluationProtocol("point", "mask-center", refine_iters=2)),
    ],
)
def test_the_iou_is_the_evaluations(data, sam, kind, protocol):
    """At 256 px both leave the images of this data set as they are, so even the resizing is the same."""
    dataset = Sa1bDataset(data, "val", 256, keep_annotations=True)
    world = World(0, 1, torch.device("cpu"))
    (result,) = evaluate_miou(sam, dataset, [protocol], world=world, num_workers=0)
    of_instance = {
        (image, number): iou[-1]
        for image, number, iou in zip(result.image_ids, result.numbers, result.iou, strict=True)
    }
    predictor = SamPredictor(sam)
    asked = [example for example in choose(data, 7) if example.kind == kind]
    assert asked
    for example in asked:
        predictor.set_image(example.picture)
        found = answer(predictor, example)
        assert found.iou == pytest.approx(of_instance[example.image_id, example.number], abs=1e-3)
        assert found.mask.shape == example.truth.shape
        wanted = {"box": 0, "centre point": 1}.get(kind, 3)
        assert len(found.points) == len(found.labels) == wanted
        if wanted:
            np.testing.assert_array_equal(found.points[0], example.point)
