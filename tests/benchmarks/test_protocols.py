"""The tables of docs/results.md on tiny data: every protocol has its row, and what the numbers are of stands below."""

import argparse

import pytest
import torch

from benchmarks import protocols
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World
from edge_sam.evaluation.average_recall import RecallProtocol
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.modeling.network_recognition import Network
from tests.evaluation.disc_sam import DiscSam
from tests.inference.likeness_sam import LikenessSam
from tests.synthetic import write_sa1b
from tests.synthetic_coco import write_coco

ALONE = World(0, 1, torch.device("cpu"))
NETWORK = Network("rep_vit_m1", 256, fuse=True, upsample_mode="bilinear")


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("coco"), 2)


def test_every_protocol_has_its_rows(coco):
    dataset = CocoDataset(coco, "coco", 256)
    cells, data = protocols.miou_column(DiscSam(), dataset, 2, ALONE)
    for truth in ("exact", "edgesam"):
        for name in (
            "box",
            "box +1",
            "box +2",
            "box +2, boundary",
            "mask-center +2",
            "point",
            "mask-rand",
            "box-center",
        ):
            assert f"{name}, {truth}" in cells
        for chosen in ("score of 3", "stability of 3", "area of 3", "oracle of 3", "score of 4", "oracle of 4"):
            assert f"mask-center, {chosen}, {truth}" in cells
    (box,) = evaluate_miou(DiscSam(), dataset, protocols.PROTOCOLS[:1], world=ALONE, max_instances=2, num_workers=0)
    assert cells["box +1, exact"].startswith(f"{box.miou[1]:.3f} (")
    assert cells["box, boundary, exact"].startswith(f"{box.boundary_miou[0]:.3f} (")
    assert data == f"data {box.data_sha256[:12]}, 1 images, 2 instances"


def test_ap_and_recall_have_intervals(coco, tmp_path):
    cells, data = protocols.ap_column(DiscSam(), CocoDataset(coco, "coco", 256, annotated_only=False), ALONE)
    assert {"mask AP", "mask APs", "boundary AP75"} < set(cells) and "2 images" in data
    root = write_sa1b(tmp_path, "val", 2, size=(96, 128))
    val = Sa1bDataset(root, "val", 256, keep_annotations=True)
    bars = RecallProtocol(points_per_side=3, pred_iou_thresh=0.5, stability_score_thresh=0.6)
    cells, data = protocols.recall_column(LikenessSam(), val, bars, ALONE)
    assert list(cells) == ["AR@10", "AR@100", "AR@1000"] and " 2 images, " in data
    assert data.startswith("data ") and "refused" not in data


def test_what_could_not_be_measured_is_counted(tmp_path):
    root = write_sa1b(tmp_path, "val", 2, size=(96, 128))
    min((root / "images" / "val").iterdir()).write_bytes(b"no picture")
    val = Sa1bDataset(root, "val", 256, keep_annotations=True)
    _, data = protocols.recall_column(LikenessSam(), val, RecallProtocol(3, 0.5, 0.6), ALONE)
    assert " 1 images, " in data and data.endswith(", 1 refused")


def test_the_command_writes_the_tables(monkeypatch, tmp_path):
    file = tmp_path / "likeness.pth"
    file.write_bytes(b"likeness")
    monkeypatch.setattr(protocols, "load_sam", lambda *_: LikenessSam())
    monkeypatch.setattr(protocols, "network_of", lambda _: NETWORK)
    monkeypatch.setattr(protocols, "miou_column", lambda *_: ({"box, exact": "1"}, "data"))
    root = write_sa1b(tmp_path / "data", "val", 2, size=(96, 128))
    options = ["--sa1b", root, "--points-per-side", 3, "--pred-iou-thresh", 0.5, "--stability-score-thresh", 0.6]
    protocols.main([str(file), "--output", str(tmp_path / "tables.md"), *map(str, options)])
    text = (tmp_path / "tables.md").read_text()
    assert "| box, exact | 1 |" in text and "3 x 3 points; predicted IoU > 0.5, stability >= 0.6" in text
    assert "| AR@1000 | 0." in text and "| AR@1000 | 0.000" not in text


def test_models_stand_side_by_side():
    columns = {"one": ({"a": "1", "b": "2"}, "data x"), "two": ({"a": "3"}, "data y")}
    assert list(protocols.table(columns)) == [
        "| | one | two |",
        "| --- | --: | --: |",
        "| a | 1 | 3 |",
        "| b | 2 |  |",
        "",
        "* one: data x",
        "* two: data y",
        "",
    ]


def test_the_report_names_models_and_protocols(monkeypatch, coco, tmp_path):
    file = tmp_path / "disc.pth"
    file.write_bytes(b"disc")
    monkeypatch.setattr(protocols, "load_sam", lambda *_: DiscSam())
    monkeypatch.setattr(protocols, "network_of", lambda _: NETWORK)
    chosen = argparse.Namespace(
        checkpoints=[file], coco=coco, sa1b=None, images=-1, instances=1, image_size=None, upsample_mode=None
    )
    text = "\n".join(protocols.report(chosen, ALONE))
    about = "(rep_vit_m1, 256 px, bilinear upsampling; float32)"
    assert f"* disc: checkpoint {protocols.file_sha256(file)[:12]} {about}" in text
    for protocol in protocols.PROTOCOLS:
        assert f"* {protocol.name}, exact: {protocol.describe()}" in text
    assert "### Mean IoU on COCO" in text and protocols.AP_PROTOCOL.describe() in text
