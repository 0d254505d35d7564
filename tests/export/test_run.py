"""Every target that runs here, against PyTorch; each file is written once and looked at from several sides."""

import json
from pathlib import Path

import pytest

from edge_sam.export.run import ExportReport, ExportRequest, describe, export
from edge_sam.runtime.graphs import GraphDescription
from tests.export.conftest import SIZE

ALL_IN = {"preprocess": True, "postprocess": True}


def exported(sam, pictures, folder: Path, target: str, **options) -> ExportReport:
    request = ExportRequest(target, folder / "small", GraphDescription(SIZE, **options))
    return export(sam, request, pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("onnx", {}),
        ("onnx", ALL_IN | {"num_multimask_outputs": 3, "use_stability_score": True}),
        ("openvino", {}),
        ("torch.export", {}),
        ("torchscript", {"postprocess": True}),
    ],
)
def test_every_target_answers_as_pytorch_does(target, options, sam, pictures, tmp_path):
    report = exported(sam, pictures, tmp_path, target, **options)
    # Resizing in the graph rounds some pixels to the other of two grey levels.
    tolerance = 0.1 if "preprocess" in options else 1e-4
    assert report.parity.max_difference["image_embeddings"] < tolerance
    assert report.parity.max_difference["low_res_masks"] < 1e-4
    assert report.parity.prompts == 48
    assert report.parity.mean_mask_iou > 0.999
    found = json.loads(report.parity_file.read_text())
    assert found["passed"] and found["mean_mask_iou"] == report.parity.mean_mask_iou
    assert 20e6 < found["files"]["encoder"]["bytes"] < 30e6  # 5.5 million weights
    assert set(found["latency_ms"]) > {"pytorch"}
    assert str(report.parity_file) in describe(report)


@pytest.mark.slow
def test_coreml_is_converted_and_said_not_to_have_run(sam, pictures, tmp_path):
    pytest.importorskip("coremltools")
    report = exported(sam, pictures[:1], tmp_path, "coreml", num_multimask_outputs=3)
    assert report.parity.max_difference["image_embeddings"] < 1e-4  # with matrices for bicubic interpolation
    encoder, decoder = report.programs["encoder"], report.programs["decoder"]
    assert encoder["inputs"] == {"images": [1, 3, SIZE, SIZE]}
    assert encoder["operations"]["conv"] == 107 and "batch_norm" not in encoder["operations"]
    assert decoder["inputs"]["point_coords"] == [-1, -1, 2]
    assert decoder["outputs"] == ["low_res_masks", "iou_predictions"]
    assert "not run here" in json.loads(report.parity_file.read_text())["not_run"]
    assert "Compare again on a Mac" in describe(report)


def test_one_part_is_compared_and_timed_alone(sam, pictures, tmp_path):
    for part, steps in (("encoder", {"encoder"}), ("decoder", {"decoder_1", "decoder_16"})):
        request = ExportRequest("torchscript", tmp_path / "small", GraphDescription(SIZE), (part,))
        report = export(sam, request, pictures[:1])
        assert set(report.files) == {part} and report.parity_file.name == f"small_{part}.torchscript.parity.json"
        assert {runtime: set(times) for runtime, times in report.parity.latency_ms.items()} == {
            "pytorch": steps,
            "torchscript": steps,
        }
        assert str(report.parity_file) in describe(report)
