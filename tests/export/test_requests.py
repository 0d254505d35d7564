"""What is refused before anything is exported."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.export import run, targets
from edge_sam.export.run import ExportRequest
from edge_sam.runtime.graphs import GraphDescription


def test_what_a_part_should_do_that_is_not_exported_is_refused(tmp_path):
    for part, option, value, other in (
        ("encoder", "postprocess", True, "decoder"),
        ("encoder", "use_stability_score", True, "decoder"),
        ("encoder", "num_multimask_outputs", 1, "decoder"),
        ("decoder", "preprocess", True, "encoder"),
    ):
        description = GraphDescription(64, **{option: value})
        with pytest.raises(EdgeSamError, match=f"{option.replace('_', ' ')} is the {other}'s, which is not exported"):
            ExportRequest("onnx", tmp_path / "model", description, (part,))
        assert ExportRequest("onnx", tmp_path / "model", description, (other,)).parts == (other,)


def test_each_part_has_a_comparison_of_its_own(tmp_path):
    names = [
        ExportRequest("onnx", tmp_path / "model", GraphDescription(64), parts, "int8").parity_file.name
        for parts in (("encoder", "decoder"), ("encoder",), ("decoder",))
    ]
    assert names == [f"model_int8{part}.onnx.parity.json" for part in ("", "_encoder", "_decoder")]


@pytest.mark.parametrize("loss", [-0.1, float("nan")])
def test_a_gate_that_nothing_passes_is_refused(loss, tmp_path):
    with pytest.raises(EdgeSamError, match="should be 0 or more"):
        ExportRequest("onnx", tmp_path / "model", GraphDescription(64), max_miou_loss=loss)


def test_a_file_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    def write(graph, path, precision):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(targets.importlib, "import_module", lambda name: SimpleNamespace(write=write))
    with pytest.raises(EdgeSamError, match=r"encoder.pt2: cannot be written \(Permission denied\)"):
        targets.find_target("torch.export").write(None, tmp_path / "encoder.pt2")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root cannot write into")
def test_a_folder_that_cannot_be_written_is_told_before_work_begins(sam, monkeypatch):
    target = SimpleNamespace(suffix=".pt", most_samples=None, write=lambda *graph: pytest.fail("the graph was traced"))
    monkeypatch.setattr(run, "find_target", lambda name: target)
    with pytest.raises(EdgeSamError, match="/proc/self: cannot be written"):
        run.export(sam, ExportRequest("torchscript", Path("/proc/self/model"), GraphDescription(128)), [])


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    for name in ("onnx", "openvino", "coreml", "litert"):
        with pytest.raises(EdgeSamError, match=rf"{name} needs the package .*pip install 'edge-sam\[{name}\]'"):
            targets.find_target(name).write(None, tmp_path / "model")


def test_every_target_of_the_command_is_known():
    from edge_sam.commands.export import _TARGETS

    assert sorted(_TARGETS) == sorted(targets.TARGET_NAMES)


def test_unknown_targets_and_precisions_are_named(tmp_path):
    with pytest.raises(EdgeSamError, match="tflite: no such target; known are onnx"):
        targets.find_target("tflite")
    precision = SimpleNamespace(quantization="int8")
    with pytest.raises(EdgeSamError, match="coreml is not written in int8, but in float32 or fp16"):
        targets.find_target("coreml").write(None, tmp_path / "model", precision)


def test_a_size_is_of_the_file_and_of_its_own_weights(tmp_path):
    for name, size in (
        ("model.xml", 1), ("model.bin", 10), ("model.onnx", 100), ("model.onnx.data", 1000), ("model.pt2", 10_000),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "model.mlpackage" / "Data").mkdir(parents=True)
    (tmp_path / "model.mlpackage" / "Data" / "weights.bin").write_bytes(bytes(7))
    sizes = {"model.xml": 11, "model.onnx": 1100, "model.pt2": 10_000, "model.mlpackage": 7}
    assert {name: targets.stored_bytes(tmp_path / name) for name in sizes} == sizes
