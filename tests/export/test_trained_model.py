"""Parity where masks mean something: a trained RepViT-M1 at 256 px, on photographs."""

import json

import numpy as np
import pytest

from edge_sam.export.pictures import read_pictures
from edge_sam.export.run import ExportReport, ExportRequest, export
from edge_sam.modeling.loading import load_sam
from edge_sam.runtime.graphs import GraphDescription

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(shared):
    return load_sam(shared("lab_teacher", "lab_teacher_256.pth"), "rep_vit_m1", 256, "bilinear")


@pytest.fixture(scope="module")
def photographs(shared) -> list[np.ndarray]:
    return read_pictures(shared("realdata", "SA-1B", "images", "val"), 12)


def exported(sam, photographs, folder, target, compared, quantization=None) -> ExportReport:
    description = GraphDescription(256, num_multimask_outputs=3)
    request = ExportRequest(target, folder / "lab", description, quantization=quantization)
    return export(sam, request, photographs[:compared], photographs[compared:])


@pytest.mark.parametrize("target", ["onnx", "openvino", "torch.export", "torchscript"])
def test_floats_give_the_same_masks(target, trained, photographs, tmp_path):
    parity = exported(trained, photographs, tmp_path, target, 1).parity
    assert parity.prompts == 24
    assert parity.max_difference["image_embeddings"] < 1e-4
    assert parity.max_difference["iou_predictions"] < 1e-4
    assert parity.max_difference["low_res_masks"] < 1e-3  # logits of 20 and more
    assert parity.mean_mask_iou > 0.9995


def test_8_bits_stay_within_the_gate(trained, photographs, tmp_path):
    report = exported(trained, photographs, tmp_path, "onnx", 2, "int8")
    assert report.parity.miou_loss <= 1.0
    assert report.files["encoder"].stat().st_size < 0.6 * 23e6
    written = json.loads(report.parity_file.read_text())
    kept = written["float32_layers"]
    assert 0 < len(kept) < 40 and all(name.startswith("encoder.trunk.") for name in kept)
