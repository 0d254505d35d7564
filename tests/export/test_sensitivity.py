import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_sam.export.damage import most_damaged
from edge_sam.export.sensitivity import rounding_damage


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """Two 1x1 convolutions in a row; the second one's weights hold an outlier, which coarsens all others' steps."""
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.normal(size=(16, 16, 1, 1)).astype(np.float32) for i in (1, 2)}
    weights["w2"][:, 0] = 300
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["y"], name="fine"),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Conv", ["z", "w2"], ["out"], name="coarse"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 4, 4]) for name in ("x", "out")]
    initializers = [numpy_helper.from_array(weight, name) for name, weight in weights.items()]
    graph = helper.make_graph(nodes, "two", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="module")
def samples() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=(1, 16, 4, 4)).astype(np.float32) for _ in range(2)]
    return [{"x": sample} for sample in samples]


def test_damage_is_that_of_rounding_one_convolution(model, samples):
    before = model.SerializeToString()
    damage = rounding_damage(model, ["fine", "coarse"], samples)
    assert model.SerializeToString() == before
    assert 0 < damage["fine"] < 0.01 and 0 < damage["coarse"] < 0.01
    by_hand = onnx.ModelProto()
    by_hand.CopyFrom(model)
    weight = numpy_helper.to_array(by_hand.graph.initializer[1])
    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 64
    by_hand.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.rint(weight / scale) * scale, "w2"))
    session, exact = (onnxruntime.InferenceSession(m.SerializeToString()) for m in (by_hand, model))
    outputs = [[one.run(None, sample)[0] for sample in samples] for one in (session, exact)]
    weights_alone = np.square(np.subtract(*outputs)).sum() / np.square(outputs[1]).sum()
    assert damage["coarse"] >= 0.5 * weights_alone


def test_a_convolution_that_is_not_named_stays_exact(model, samples):
    assert list(rounding_damage(model, ["coarse"], samples)) == ["coarse"]


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, []), (0.5, ["b"]), (0.3, ["b", "c"]), (0.1, ["b", "c", "a"]), (0.0, ["b", "c", "a"])]
)
def test_the_worst_are_kept_until_little_damage_is_left(share, kept):
    assert most_damaged({"a": 2.0, "b": 5.0, "c": 3.0}, share) == kept
