"""TorchScript: a traced graph as a file that libtorch and PyTorch Mobile read."""

from pathlib import Path

import torch

from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import ExportedGraph, example_inputs
from edge_sam.export.precision import Notes, Precision
from edge_sam.export.torch_export import TorchGraph
from edge_sam.runtime.graphs import DescribedGraph, GraphDescription


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; its free sizes stay free. There is float32 alone, and nothing to note.

    Raises:
        EdgeSamError: a graph that resizes pictures: a traced one would keep the example's size.
    """
    assert precision.quantization is None
    if graph.description.preprocess:
        raise EdgeSamError("torchscript takes no preprocessing: leave it out, or take torch.export")
    inputs, _ = example_inputs(graph)
    with torch.no_grad():
        traced = torch.jit.trace(graph, example_kwarg_inputs=inputs, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path))
    return {}


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file."""
    return TorchGraph(torch.jit.load(str(path)), description)  # type: ignore[no-untyped-call]
