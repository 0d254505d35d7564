"""LiteRT (once TensorFlow Lite): a graph as ``.tflite`` for Android, embedded Linux and other small devices."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import litert_torch
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import EncoderGraph, ExportedGraph, example_inputs, without_interpolation
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.graphs import Array, DescribedGraph, GraphDescription


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; bicubic interpolation in it becomes matrices. There is float32 alone, and nothing to note.

    Raises:
        EdgeSamError: a graph that resizes pictures or masks, or one that litert-torch cannot convert.
    """
    assert precision.quantization is None
    if graph.description.preprocess or graph.description.postprocess:
        raise EdgeSamError("litert takes neither preprocessing nor postprocessing: leave them out")
    inputs, free_sizes = example_inputs(graph)
    if isinstance(graph, EncoderGraph):
        without_interpolation(graph.encoder)
    try:
        model = litert_torch.convert(graph.eval(), sample_kwargs=inputs, dynamic_shapes=free_sizes)
    except Exception as error:  # the converter's exceptions have no public common class
        packages = ", ".join(f"{name} {version(name)}" for name in ("litert-torch", "torch"))
        reason = " ".join(str(error).split())[:160]
        raise EdgeSamError(f"{path.name}: {packages} cannot convert this graph ({reason})") from error
    model.export(str(path))
    return {}


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file, on the CPU."""
    return _LitertGraph(path, description)


class _LitertGraph:
    def __init__(self, path: Path, description: GraphDescription) -> None:
        self.description = description
        self._interpreter = Interpreter(model_path=str(path))  # the runner borrows from it
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        found = self._run(**inputs)
        return [np.array(found[name]) for name in sorted(found, key=lambda name: int(name.rpartition("_")[2]))]
