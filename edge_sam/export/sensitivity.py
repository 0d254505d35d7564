"""Which convolutions suffer most from 8 bits, measured one at a time."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_sam.runtime.graphs import Array

_LEVELS = 64
"""Largest integer of the weights, which have 7 bits."""


def rounding_damage(
    model: onnx.ModelProto, convolutions: Sequence[str], samples: Sequence[Mapping[str, Array]]
) -> dict[str, float]:
    """Measure what becomes of a graph's first output when inputs and weights of one convolution are rounded.

    A switch before each convolution chooses between both, so that one session serves all.

    Args:
        model: float32; it is left as it is.
        convolutions: names of nodes.
        samples: inputs of the graph, by name.

    Returns:
        For each convolution the squared error over the square of the output, over all samples.
    """
    session = onnxruntime.InferenceSession(
        _with_switches(model, convolutions).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    output = [model.graph.output[0].name]
    off = {_switch(name): np.array(False) for name in convolutions}
    errors = dict.fromkeys(convolutions, 0.0)
    total = 0.0
    for sample in samples:
        exact = session.run(output, {**sample, **off})[0].astype(np.float64)
        total += float(np.square(exact).sum())
        for name in convolutions:
            rounded = session.run(output, {**sample, **off, _switch(name): np.array(True)})[0]
            errors[name] += float(np.square(rounded - exact).sum())
    return {name: error / total for name, error in errors.items()}


def _with_switches(model: onnx.ModelProto, convolutions: Sequence[str]) -> onnx.ModelProto:
    switched = onnx.ModelProto()
    switched.CopyFrom(model)
    graph, chosen = switched.graph, set(convolutions)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name in chosen:
            name = node.name
            graph.input.append(helper.make_tensor_value_info(_switch(name), TensorProto.BOOL, []))
            rounded = _rounded(numpy_helper.to_array(weights[node.input[1]]))
            graph.initializer.append(numpy_helper.from_array(rounded, f"{name}.rounded_weight"))
            integers = [f"{name}.{kind}" for kind in ("integer", "scale", "zero")]
            nodes += [
                helper.make_node("DynamicQuantizeLinear", [node.input[0]], integers),
                helper.make_node("DequantizeLinear", integers, [f"{name}.rounded_input"]),
            ]
            for index, kind in enumerate(("input", "weight")):
                either = [_switch(name), f"{name}.rounded_{kind}", node.input[index]]
                nodes.append(helper.make_node("Where", either, [f"{name}.chosen_{kind}"]))
                node.input[index] = f"{name}.chosen_{kind}"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return switched


def _switch(name: str) -> str:
    return f"{name}.switch"


def _rounded(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round weights (C', C, kh, kw) with a scale for each output channel."""
    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / _LEVELS
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    return np.asarray(np.rint(weight / scale) * scale, np.float32)
