"""Channels of equal range, so that one scale of 8 bits fits all of them (Xiao et al. 2023, SmoothQuant).

Before a convolution, channel c of its input is divided by s_c and its weights are multiplied by s_c: the same function.
s_c = (largest input)^a / (largest weight)^(1 - a) moves the range of lively channels into the weights, which have
scales of their own for each output channel.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_sam.runtime.graphs import Array

_SHARE = 0.5
"""The exponent a."""

_SMALLEST = 1e-5


def smooth(model: onnx.ModelProto, convolutions: Sequence[str], largest: Mapping[str, NDArray[np.float32]]) -> None:
    """Rewrite a graph in place, which then computes the same.

    Args:
        model: float32.
        convolutions: names of nodes; their groups are 1.
        largest: what :func:`largest_inputs` found.
    """
    chosen = set(convolutions)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name in chosen:
            weight = numpy_helper.to_array(weights[node.input[1]])
            scale = _scale(largest[node.input[0]], np.abs(weight).max(axis=(0, 2, 3)))
            divisor, rest, smoothed = (f"{node.name}.smooth_{kind}" for kind in ("divisor", "weight", "input"))
            model.graph.initializer.append(numpy_helper.from_array((1 / scale)[:, None, None], divisor))
            model.graph.initializer.append(numpy_helper.from_array(weight * scale[:, None, None], rest))
            nodes.append(helper.make_node("Mul", [node.input[0], divisor], [smoothed], f"{node.name}.smooth"))
            node.input[0], node.input[1] = smoothed, rest
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)


def _scale(inputs: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    scale = np.maximum(inputs, _SMALLEST) ** _SHARE / np.maximum(weights, _SMALLEST) ** (1 - _SHARE)
    return np.asarray(scale / np.exp(np.log(scale).mean()), np.float32)


def largest_inputs(
    model: onnx.ModelProto, convolutions: Sequence[str], samples: Sequence[Mapping[str, Array]]
) -> dict[str, NDArray[np.float32]]:
    """Return the largest magnitude of each channel of what goes into convolutions.

    Args:
        model: float32.
        convolutions: names of nodes.
        samples: inputs of the graph, by name.

    Returns:
        Name of a tensor -> (C,).
    """
    chosen = set(convolutions)
    given = {value.name for value in model.graph.input}
    wanted = sorted({node.input[0] for node in model.graph.node if node.name in chosen} - given)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, NDArray[np.float32]] = {}
    for sample in samples:
        for name, values in zip(wanted, session.run(wanted, dict(sample)), strict=True):
            found = np.abs(values).max(axis=(0, 2, 3))
            largest[name] = np.maximum(largest[name], found) if name in largest else found
    return largest


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
