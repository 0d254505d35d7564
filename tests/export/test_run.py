"""Every target that runs here, against PyTorch; each file is written once and looked at from several sides."""

import copy
import json
from pathlib import Path

import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.export import run
from edge_sam.export.run import ExportReport, ExportRequest, MissedGateError, describe, export
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


@pytest.mark.parametrize("factor", [-1.0, float("nan")])
def test_a_wrong_decoder_misses_the_gate(factor, sam, pictures, tmp_path, monkeypatch):
    wrong, plain = copy.deepcopy(sam), run.decoder_graph
    with torch.no_grad():
        wrong.mask_decoder.mask_tokens.weight.mul_(factor)
    monkeypatch.setattr(run, "decoder_graph", lambda sam, description: plain(wrong, description))
    with pytest.raises(MissedGateError, match=r"masks differ .* do not use these files; see .*parity\.json"):
        exported(sam, pictures[:1], tmp_path, "torchscript")
    found = json.loads((tmp_path / "small.torchscript.parity.json").read_text())
    assert found["passed"] is False and found["max_miou_loss"] == 1
    assert all((tmp_path / f"small_{part}.torchscript").is_file() for part in ("encoder", "decoder"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("image_encoder.neck.0.weight", "image embedding"),
        ("mask_decoder.mask_tokens.weight", "mask logits"),
        ("mask_decoder.iou_prediction_head.layers.0.weight", "mask scores"),
    ],
)
def test_nothing_is_written_of_a_model_with_broken_weights(weights, said, sam, pictures, tmp_path):
    broken = copy.deepcopy(sam)
    with torch.no_grad():
        broken.get_parameter(weights).fill_(torch.nan)
    with pytest.raises(EdgeSamError, match=f"the model itself answers NaN or infinity in its {said}, .* broken"):
        exported(broken, pictures, tmp_path / "out", "torchscript")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("quantization", "share", "difference"), [("fp16", 0.55, 0.02), ("int8", 0.8, 0.1)])
def test_fewer_bits_stay_near_pytorch_and_say_what_they_were_judged_on(
    quantization, share, difference, sam, pictures, tmp_path
):
    request = ExportRequest("onnx", tmp_path / "small", GraphDescription(SIZE), quantization=quantization)
    calibration = pictures[1:] if quantization == "int8" else ()
    report = export(sam, request, pictures[:1], calibration)
    assert 0 < report.parity.max_difference["image_embeddings"] < difference
    assert report.parity.mean_mask_iou > 0.99
    found = json.loads(report.parity_file.read_text())
    assert found["passed"] and found["quantization"] == quantization
    assert found["files"]["encoder"]["bytes"] < share * 22e6 and found["files"]["decoder"]["bytes"] < 0.55 * 16e6
    assert found["compared_on"] == "1 drawn picture"
    assert found.get("calibrated_on") == ("1 other drawn picture" if quantization == "int8" else None)
    assert ("float32_layers" in found) == (quantization == "int8")
    assert ("warning" in found) == ("  warning: int8" in describe(report)) == (quantization == "int8")


def test_a_comparison_names_the_folder_of_its_pictures(sam, pictures, tmp_path):
    folder = tmp_path / "photographs"
    request = ExportRequest("onnx", tmp_path / "small", GraphDescription(SIZE), quantization="int8", images=folder)
    assert run._origin(request, 8) == {"compared_on": "8 pictures of photographs"}
    precision = run._precision(request, "encoder", pictures)
    assert precision.sample_origin == "2 other pictures of photographs" and len(precision.samples) == 2
