"""ONNX graphs in 8 or 16 bits, by the tools that come with ONNX Runtime."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from edge_sam.export.damage import most_damaged
from edge_sam.export.sensitivity import rounding_damage
from edge_sam.export.smoothing import largest_inputs, smooth
from edge_sam.runtime.graphs import Array

_SMALLEST_INPUT = 16
"""Channels below which a convolution stays in float32: pictures and depthwise ones, which take little time."""

_PERCENTILE = 99.995

_FEED_FORWARD = 2**18
"""Numbers in a matrix that a decoder has in its feed-forward layers alone: 256 x 2048, elsewhere at most 256 x 256."""

_DAMAGE_LEFT = 0.1
"""Share of the squared error of 8 bits that may stay; the convolutions that make the rest of it stay in float32."""

_MEASURED_ON = 3
"""Samples on which that is measured."""


def quantize_encoder(source: Path, target: Path, samples: Sequence[Mapping[str, Array]]) -> list[str] | None:
    """Write an encoder that multiplies integers of 8 bits.

    Of a convolutional trunk, the pointwise and other dense convolutions, which take most of the time, with calibrated
    ranges; depthwise ones, the attention over channels, fusion and neck stay in float32, where 8 bits cost most masks.
    So do those few dense ones that are measured to make most of the error. A transformer's linear layers store their
    weights in 8 bits, which takes no samples.

    Args:
        source: float32 graph.
        target: where to.
        samples: its inputs on pictures like those that it is for; their activations set the ranges.

    Returns:
        Names of the dense convolutions' weights that stay in float32; None for a transformer.
    """
    model = onnx.load(source)
    chosen = _dense_convolutions(model)
    if not chosen:
        quantize_linear_weights(source, target)
        return None
    weights = {node.name: node.input[1] for node in model.graph.node if node.name in chosen}
    largest = largest_inputs(model, chosen, samples)
    smooth(model, chosen, largest)
    kept = most_damaged(rounding_damage(model, chosen, samples[:_MEASURED_ON]), _DAMAGE_LEFT)
    rounded = [name for name in chosen if name not in kept]
    model = onnx.load(source)
    smooth(model, rounded, largest)
    smoothed = source.with_name("smoothed.onnx")
    onnx.save(model, smoothed if rounded else target)
    if rounded:  # to the quantizer, none would mean all
        _quantize_convolutions(smoothed, target, rounded, samples)
    return sorted(weights[name] for name in kept)


def _quantize_convolutions(
    source: Path, target: Path, convolutions: Sequence[str], samples: Sequence[Mapping[str, Array]]
) -> None:
    quantize_static(
        source,
        target,
        _Samples(samples),
        QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 8 x 7 bits: sums of 8 x 8 overflow the 16 bits of processors without VNNI
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=list(convolutions),
        calibrate_method=CalibrationMethod.Percentile,
        # One sample at a time: all activations of many would not fit into memory.
        extra_options={"CalibPercentile": _PERCENTILE, "CalibStridedMinMax": 1},
    )


def _dense_convolutions(model: onnx.ModelProto) -> list[str]:
    """Return the names of the trunk's convolutions over many channels, but for the attention over channels.

    timm's vision transformer has the neck within the trunk: it is no reason to take one for convolutional.
    """
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1].startswith("encoder.trunk.")
        and not node.input[1].startswith("encoder.trunk.neck.")
        and ".se." not in node.input[1]
        and shapes[node.input[1]][1] >= _SMALLEST_INPUT
    ]


def quantize_linear_weights(source: Path, target: Path, large: int = 0) -> None:
    """Write a graph whose linear layers store 8 bits a weight, one scale an output channel, and compute in float32.

    Activations are not rounded: in a decoder, tokens of very different ranges meet, and masks would be lost.

    Args:
        source: float32 graph.
        target: where to.
        large: numbers in a matrix below which it stores 16 bits a weight.
    """
    model = onnx.load(source)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    restored: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        name = node.input[1] if node.op_type in ("MatMul", "Gemm") else ""
        if name in weights and min(weights[name].dims, default=0) >= _SMALLEST_INPUT:
            if name not in restored:
                is_transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
                if math.prod(weights[name].dims) >= large:
                    restored[name] = _store_in_8_bits(model, weights[name], 0 if is_transposed else 1)
                else:
                    restored[name] = _store_in_16_bits(weights[name])
            node.input[1] = restored[name].output[0]
    nodes = [*restored.values(), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)


def quantize_decoder(source: Path, target: Path) -> None:
    """Write a decoder whose feed-forward layers, half of its weights, store 8 bits a weight and the others 16.

    Attention is what 8 bits cost masks in: rounding its small matrices makes a hundred times the error of rounding the
    large ones.
    """
    quantize_linear_weights(source, target, _FEED_FORWARD)


def _store_in_16_bits(weight: onnx.TensorProto) -> onnx.NodeProto:
    """Round a matrix in place to half precision; return the node that makes float32 of it again."""
    values = numpy_helper.to_array(weight).astype(np.float16)
    names = [f"{weight.name}.{kind}" for kind in ("float16", "float32")]
    weight.CopyFrom(numpy_helper.from_array(values, names[0]))
    return helper.make_node("Cast", names[:1], names[1:], f"{names[1]}.node", to=TensorProto.FLOAT)


def _store_in_8_bits(model: onnx.ModelProto, weight: onnx.TensorProto, axis: int) -> onnx.NodeProto:
    """Round a matrix in place, with a scale for each index of ``axis``; return the node that multiplies both again."""
    values = numpy_helper.to_array(weight)
    scale = np.maximum(np.abs(values).max(axis=1 - axis), np.finfo(np.float32).tiny) / 127
    rounded = np.rint(values / np.expand_dims(scale, 1 - axis)).astype(np.int8)
    names = [f"{weight.name}.{kind}" for kind in ("int8", "scale", "float32")]
    weight.CopyFrom(numpy_helper.from_array(rounded, names[0]))
    model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), names[1]))
    return helper.make_node("DequantizeLinear", names[:2], names[2:], f"{names[2]}.node", axis=axis)


def halve(source: Path, target: Path) -> None:
    """Write a graph that computes in 16 bits; its inputs and outputs, and positions before sine and cosine, stay."""
    blocked = _ancestors(onnx.load(source, load_external_data=False).graph, {"Sin", "Cos"})
    # By its path: the inference of shapes takes no model in memory that is above protobuf's 2 GiB.
    halved = convert_float_to_float16(str(source), keep_io_types=True, node_block_list=blocked)
    onnx.save(halved, target)


class _Samples(CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, samples: Sequence[Mapping[str, Array]]) -> None:
        self._samples = samples
        self._rest: Iterator[Mapping[str, Array]] = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        """Return the next sample, or None behind the last one."""
        sample = next(self._rest, None)
        return None if sample is None else dict(sample)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these samples."""
        self._rest = iter(self._samples[start_index:end_index])

    def __len__(self) -> int:
        return len(self._samples)


def _ancestors(graph: onnx.GraphProto, types: set[str]) -> list[str]:
    """Return the names of nodes of some types and of all nodes that they depend on."""
    makers = {output: node for node in graph.node for output in node.output}
    found: dict[str, None] = {}
    open_nodes = [node for node in graph.node if node.op_type in types]
    while open_nodes:
        node = open_nodes.pop()
        if node.name not in found:
            found[node.name] = None
            open_nodes += [makers[name] for name in node.input if name in makers]
    return list(found)
