"""OpenVINO: a graph as ``.xml`` and ``.bin``, for Intel's processors, graphics and accelerators; made from ONNX."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import openvino

from edge_sam.export import onnx
from edge_sam.export.graphs import ExportedGraph
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.graphs import Array, DescribedGraph, GraphDescription


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; its free sizes stay free. ``fp16`` halves the stored weights alone.

    Returns:
        See :func:`edge_sam.export.onnx.write`.
    """
    halved = precision.quantization == "fp16"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
        source = Path(folder) / "graph.onnx"
        notes = onnx.write(graph, source, replace(precision, quantization=None) if halved else precision)
        model = openvino.Core().read_model(source)
        openvino.save_model(model, path, compress_to_fp16=halved)
    return notes


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file, on the CPU."""
    return _OpenvinoGraph(path, description)


class _OpenvinoGraph:
    def __init__(self, path: Path, description: GraphDescription) -> None:
        self.description = description
        # Some processors would compute in bfloat16 unasked.
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = openvino.Core().compile_model(path, "CPU", settings)

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        found = self._compiled(dict(inputs))
        return [found[output].copy() for output in self._compiled.outputs]
