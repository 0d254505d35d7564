"""8 bits on a graph written by hand: which convolutions take them, and what becomes of the answer."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers import float16

from edge_sam.export import onnx as onnx_target
from edge_sam.export.graphs import encoder_graph
from edge_sam.export.precision import Precision
from edge_sam.export.quantization import halve, quantize_encoder
from edge_sam.modeling.registry import build_sam
from edge_sam.runtime.graphs import GraphDescription

NAMES = [
    "encoder.trunk.first",
    "encoder.trunk.se.second",
    "encoder.trunk.third",
    "encoder.trunk.fourth",
    "encoder.neck",
]


@pytest.fixture
def source(tmp_path):
    """Five convolutions of 16 channels, one of them of an attention over channels, one behind the trunk."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(16, 16, 1, 1)).astype(np.float32) / 4 for name in NAMES}
    nodes, last = [helper.make_node("Abs", ["images"], ["start"], name="abs")], "start"
    for number, name in enumerate(NAMES):
        nodes.append(helper.make_node("Conv", [last, name], [f"c{number}"], name=f"conv{number}"))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], name=f"relu{number}"))
        last = f"r{number}"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 8, 8]) for name in ("images", last)]
    initializers = [numpy_helper.from_array(weight, name) for name, weight in weights.items()]
    graph = helper.make_graph(nodes, "trunk", values[:1], values[1:], initializers)
    path = tmp_path / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    return [{"images": rng.normal(size=(1, 16, 8, 8)).astype(np.float32)} for _ in range(6)]


def run(path, sample):
    return onnxruntime.InferenceSession(path).run(None, sample)[0]


def test_dense_convolutions_are_rounded_but_for_those_that_suffer(source, samples, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_sam.export.quantization._DAMAGE_LEFT", 0.7)  # of three alike
    target = tmp_path / "int8.onnx"
    kept = quantize_encoder(source, target, samples[:4])
    assert 0 < len(kept) < 3
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(target).graph.initializer}
    assert all(stored[name] == TensorProto.FLOAT for name in [*kept, "encoder.trunk.se.second", "encoder.neck"])
    rounded = {"encoder.trunk.first", "encoder.trunk.third", "encoder.trunk.fourth"} - set(kept)
    assert len(rounded) == 3 - len(kept)
    assert list(stored.values()).count(TensorProto.INT8) >= len(rounded) > 0
    for sample in samples[4:]:
        exact = run(source, sample)
        assert np.square(run(target, sample) - exact).mean() < 0.01 * np.square(exact).mean()
        assert not np.array_equal(run(target, sample), exact)


def test_what_stays_in_float_is_not_smoothed_either(source, samples, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_sam.export.quantization._DAMAGE_LEFT", 0.0)
    target = tmp_path / "int8.onnx"
    assert len(quantize_encoder(source, target, samples)) == 3
    assert {node.op_type for node in onnx.load(target).graph.node} == {"Abs", "Conv", "Relu"}
    np.testing.assert_array_equal(run(target, samples[0]), run(source, samples[0]))


@pytest.mark.slow
def test_a_vision_transformer_stores_the_weights_of_its_linear_layers_in_8_bits(tmp_path):
    torch.manual_seed(0)
    sam = build_sam("vit_b", 128).eval()
    del sam.image_encoder.trunk.blocks[2:]
    graph = encoder_graph(sam, GraphDescription(128))
    plain, rounded = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    onnx_target.write(graph, plain, Precision())
    sample = {"images": np.random.default_rng(0).normal(size=(1, 3, 128, 128)).astype(np.float32)}
    notes = onnx_target.write(graph, rounded, Precision("int8", [sample], "1 picture"))
    assert notes == {}  # nothing was calibrated
    assert rounded.stat().st_size < 0.6 * plain.stat().st_size
    exact = run(plain, sample)
    assert 0 < np.square(run(rounded, sample) - exact).mean() < 1e-3 * np.square(exact).mean()


def test_16_bits_are_made_without_a_whole_model_in_one_message(source, samples, tmp_path, monkeypatch):
    def refuse(model):
        raise ValueError("Failed to serialize proto")  # as above 2 GiB, with weights in a file of their own

    monkeypatch.setattr(float16, "infer_shapes", refuse)
    apart, target = tmp_path / "apart.onnx", tmp_path / "fp16.onnx"
    onnx.save(onnx.load(source), apart, save_as_external_data=True, location="apart.onnx.data", size_threshold=0)
    halve(apart, target)
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(target, load_external_data=False).graph.initializer}
    assert stored == dict.fromkeys(NAMES, TensorProto.FLOAT16)
    exact = run(source, samples[0])
    np.testing.assert_allclose(run(target, samples[0]), exact, atol=5e-3 * np.abs(exact).max())
    assert not list(tmp_path.glob("tmp*"))
