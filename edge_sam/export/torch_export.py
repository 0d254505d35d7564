"""torch.export: a graph as a ``.pt2`` file that PyTorch, ExecuTorch and AOTInductor read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from edge_sam.export.graphs import ExportedGraph, example_inputs
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.graphs import Array, DescribedGraph, GraphDescription


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; its free sizes stay free. There is float32 alone, and nothing to note."""
    assert precision.quantization is None
    inputs, free_sizes = example_inputs(graph)
    with torch.no_grad():
        program = torch.export.export(graph, (), inputs, dynamic_shapes=free_sizes)
    torch.export.save(program, path)
    return {}


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file."""
    return TorchGraph(torch.export.load(path).module(), description)


class TorchGraph:
    """A loaded module that takes its inputs by name.

    Args:
        module: gives a tensor or a tuple of them.
        description: what it computes.
    """

    def __init__(self, module: torch.nn.Module, description: GraphDescription) -> None:
        self.module = module
        self.description = description

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Run the module."""
        outputs = self.module(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        return [x.numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]
