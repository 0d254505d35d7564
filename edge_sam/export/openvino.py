"""OpenVINO: a graph as ``.xml`` and ``.bin``, for Intel's processors, graphics and accelerators; made from ONNX."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import openvino

from edge_sam.export import onnx
from edge_sam.export.graphs import ExportedGraph
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.graphs import Array, DescribedGraph, GraphDescription


@cache
def core() -> openvino.Core:
    """Return the process's one core.

    Each core brings a signal stack that ends with it. After two of them, the first to come being the first to go, the
    process is left with the stack of the first, and the next signal (Ctrl-C, the end of a child) kills it.
    """
    return openvino.Core()


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; its free sizes stay free. ``fp16`` halves the stored weights alone.

    Returns:
        See :func:`edge_sam.export.onnx.write`.
    """
    halved = precision.quantization == "fp16"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
        source = Path(folder) / "graph.onnx"
        notes = onnx.write(graph, source, replace(precision, quantization=None) if halved else precision)
        model = core().read_model(source)
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
        self._compiled = core().compile_model(path, "CPU", settings)

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        found = self._compiled(dict(inputs))
        return [found[output].copy() for output in self._compiled.outputs]
