"""Core ML: a graph as ``.mlpackage`` for Apple's devices. It is converted anywhere and runs on macOS and iOS alone."""

from collections import Counter
from pathlib import Path
from typing import Any, cast

import coremltools
import numpy as np
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import EncoderGraph, ExportedGraph, example_inputs, without_interpolation
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.onnx_graphs import METADATA_KEY

_MOST = {0: 64, 1: 32}
"""Prompts decoded at once, and points of each: Core ML wants to know how many there can be."""


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph for iOS 17, macOS 14 and later; bicubic interpolation in it becomes matrices.

    Raises:
        EdgeSamError: a graph that resizes pictures or masks, which is Apple's own frameworks' work.
    """
    if graph.description.preprocess or graph.description.postprocess:
        raise EdgeSamError("coreml takes neither preprocessing nor postprocessing: leave them out")
    inputs, free_sizes = example_inputs(graph)
    if isinstance(graph, EncoderGraph):
        without_interpolation(graph.encoder)
    with torch.no_grad():
        traced = torch.jit.trace(graph, example_kwarg_inputs=inputs, check_trace=False)  # type: ignore[no-untyped-call]
    half = precision.quantization == "fp16"
    model = coremltools.convert(
        traced,
        inputs=[
            coremltools.TensorType(name, _shape(values, free_sizes[name] or {}), np.float32)
            for name, values in inputs.items()
        ],
        outputs=[coremltools.TensorType(name) for name in graph.output_names],
        minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
    )
    model.user_defined_metadata[METADATA_KEY] = graph.description.to_json()
    model.save(str(path))
    return {}


def describe_program(path: Path) -> dict[str, Any]:
    """Return how often each operation is in a written program, and the shapes of its inputs; -1 for a free size."""
    model = coremltools.models.MLModel(str(path), skip_model_load=True)
    spec = model.get_spec()
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    shapes = {value.name: [_size(size) for size in value.type.tensorType.dimensions] for value in function.inputs}
    return {
        "operations": dict(Counter(operation.type for operation in block.operations)),
        "inputs": shapes,
        "outputs": list(block.outputs),
    }


def _shape(values: torch.Tensor, free: dict[int, Any]) -> Any:  # noqa: ANN401 - untyped
    sizes = [
        coremltools.RangeDim(1, _MOST[axis], default=size) if axis in free else size
        for axis, size in enumerate(values.shape)
    ]
    return coremltools.Shape(sizes)


def _size(dimension: Any) -> int:  # noqa: ANN401 - untyped
    return cast(int, dimension.constant.size) if dimension.HasField("constant") else -1
