import contextlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.average_recall import (
    RecallProtocol,
    evaluate_average_recall,
    ranks_of_matches,
)
from tests.inference.likeness_sam import LikenessSam
from tests.synthetic import write_sa1b

PROTOCOL = RecallProtocol(points_per_side=5, pred_iou_thresh=0.5, stability_score_thresh=0.6, limits=(3, 10, 100))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_sa1b(tmp_path_factory.mktemp("recall"), "val", 3, size=(96, 128))


@pytest.fixture
def val_split(root):
    return Sa1bDataset(root, "val", 256, keep_annotations=True)


def evaluate(dataset, world, protocol=PROTOCOL, sam=None, **options):
    return evaluate_average_recall(sam or LikenessSam(), dataset, protocol, world=world, num_workers=0, **options)


def coco_average_recall(dataset, protocol):
    """AR by size and limit of pycocotools."""
    images, annotations, results = [], [], []
    generator = protocol.generator(LikenessSam(), 64)
    for number in range(len(dataset)):
        sample = dataset[number]
        images.append({"id": number, "height": sample.original_size[0], "width": sample.original_size[1]})
        for annotation in sample.annotations:
            area = int(mask_utils.area(annotation.rle))
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "area": area,
                "segmentation": annotation.rle, "bbox": [0, 0, 1, 1],
            })  # fmt: skip
        for mask in generator.generate(dataset.read_picture(number)):
            score = mask["predicted_iou"] + mask["stability_score"]
            results.append({"image_id": number, "category_id": 1, "segmentation": mask["segmentation"], "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mask"}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.maxDets = list(protocol.limits)
        evaluation.params.useCats = 0
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"][:, 0].mean(axis=0)  # sizes, limits
    return dict(zip(("all", "small", "medium", "large"), recall, strict=True))


def test_it_is_cocos_average_recall(val_split, alone):
    result = evaluate(val_split, alone)
    expected = coco_average_recall(val_split, PROTOCOL)
    for size, by_limit in expected.items():
        for limit, value in zip(PROTOCOL.limits, by_limit, strict=True):
            if result.instances(size):
                assert result.average_recall(limit, size) == pytest.approx(value, abs=1e-12)
    assert 0.05 < result.average_recall(3) < result.average_recall(100) < 1
    low, high = result.interval(100)
    assert low < result.average_recall(100) < high
    assert result.instances() == sum(result.instances(size) for size in ("small", "medium", "large"))


def test_each_mask_is_matched_once_best_ranked_first():
    iou = np.array([[0.9, 0.7], [0.95, 0.1], [0.2, 0.6]])
    ranks = ranks_of_matches(iou, np.array([0.5, 0.8, 0.92]))
    never = ranks.max()
    assert ranks.tolist() == [[0, 2], [0, never], [1, never]]
    assert never > 10**6
    assert (ranks_of_matches(np.zeros((0, 2))) == never).all()
    assert ranks_of_matches(np.zeros((3, 0))).shape == (10, 0)


def test_all_processes_together_are_one(val_split, alone, monkeypatch):
    whole = evaluate(val_split, alone)
    parts = []
    monkeypatch.setattr("edge_sam.evaluation.average_recall.gather_objects", lambda value: parts.append(value) or parts)
    done = []
    for rank in range(2):
        joined = evaluate(val_split, World(rank, 2, torch.device("cpu")), points_per_batch=7, progress=done.append)
    assert [image.image_id for image in joined.images] == [image.image_id for image in whole.images]
    assert joined.average_recall(10) == whole.average_recall(10)
    assert len(done) == 3


def test_what_cannot_be_read_is_counted(root, alone, tmp_path):
    names = sorted(path.stem for path in (root / "images" / "val").iterdir())
    for kind, suffix in (("images", ".jpg"), ("annotations", ".json")):
        (tmp_path / kind / "val").mkdir(parents=True)
        for name in names:
            content = (root / kind / "val" / (name + suffix)).read_bytes()
            (tmp_path / kind / "val" / (name + suffix)).write_bytes(content)
    (tmp_path / "images" / "val" / f"{names[1]}.jpg").write_bytes(b"no picture")
    file = tmp_path / "annotations" / "val" / f"{names[0]}.json"
    tree = json.loads(file.read_text())
    corner = [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]]  # no pixel's centre is in there
    tree["annotations"].append(tree["annotations"][0] | {"segmentation": corner, "bbox": [3, 3, 1, 1], "id": 77})
    file.write_text(json.dumps(tree))
    result = evaluate(Sa1bDataset(tmp_path, "val", 256, keep_annotations=True), alone)
    assert [image.image_id for image in result.images] == [names[0], names[2]]
    (empty,) = [refusal for refusal in result.refusals if refusal.image_id == names[0]]
    assert "annotation 77: mask is empty" in empty.reason
    assert names[1] in {refusal.image_id for refusal in result.refusals}


def test_the_hash_is_of_the_pictures_too(root, val_split, alone, tmp_path):
    copied = shutil.copytree(root, tmp_path / "copy")
    picture = sorted((copied / "images" / "val").iterdir())[1]
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = evaluate(Sa1bDataset(copied, "val", 256, keep_annotations=True), alone)
    pairs = zip(changed.images, evaluate(val_split, alone).images, strict=True)
    assert [one.data_sha256 == other.data_sha256 for one, other in pairs] == [True, False, True]


def test_finding_nothing_is_no_recall(val_split, alone):
    result = evaluate(val_split, alone, RecallProtocol(points_per_side=2, pred_iou_thresh=2.0))
    assert result.average_recall(1000) == 0.0
    assert [image.found for image in result.images] == [0, 0, 0]


def test_answers_without_numbers_are_named(val_split, alone):
    class Broken(LikenessSam):
        """Gives NaN for the second picture."""

        def __init__(self):
            super().__init__()
            self.calls = 0
            self.image_encoder.register_forward_hook(self.spoil)

        def spoil(self, module, given, embedding):
            self.calls += 1
            return torch.full_like(embedding, torch.nan) if self.calls == 2 else embedding

    whole, broken = evaluate(val_split, alone), evaluate(val_split, alone, sam=Broken())
    assert whole.failures == () and broken.failures == (val_split.ids[1],)
    assert broken.instances() == whole.instances() and broken.average_recall(100) < whole.average_recall(100)


def test_the_line_says_everything():
    line = RecallProtocol(16, 0.7, 0.8, 0.6, 2, True).describe()
    for part in ("16 x 16", "0.7", "0.8", "0.6", "2 layers of crops", "none asked", "one to one", "exact"):
        assert part in line
    assert RecallProtocol().to_json()["line"] == RecallProtocol().describe()


def test_no_annotated_mask_is_an_error(alone):
    class Nothing:
        ids = ("a",)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise EdgeSamError("picture is gone")

    with pytest.raises(EdgeSamError, match=r"no annotated mask .* picture is gone"):
        evaluate(Nothing(), alone)
