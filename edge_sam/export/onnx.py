"""ONNX: graphs as files that ONNX Runtime runs, on servers, phones and in browsers."""

import tempfile
from pathlib import Path

import torch

from edge_sam.export.graphs import DecoderGraph, ExportedGraph, PictureDecoderGraph, example_inputs
from edge_sam.export.precision import Notes, Precision
from edge_sam.export.quantization import halve, quantize_decoder, quantize_encoder
from edge_sam.runtime.graphs import DescribedGraph, GraphDescription
from edge_sam.runtime.onnx_graphs import METADATA_KEY, OnnxGraph

_LARGEST_MESSAGE = 1_900_000_000
"""Bytes of weights above which they go to a file of their own: protobuf's limit is 2 GiB."""


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; its free sizes (prompts, points, the picture's) stay free.

    Args:
        graph: encoder or decoder.
        path: ``.onnx`` file.
        precision: of its numbers.

    Returns:
        For an encoder of 8 bits that is calibrated: ``calibrated_on``, and ``float32_layers``, the dense convolutions
        that are left as they were.
    """
    if precision.quantization is None:
        _write_float32(graph, path)
        return {}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
        whole = Path(folder) / "float32.onnx"
        _write_float32(graph, whole)
        if precision.quantization == "fp16":
            halve(whole, path)
        elif isinstance(graph, DecoderGraph | PictureDecoderGraph):
            quantize_decoder(whole, path)
        else:
            kept = quantize_encoder(whole, path, precision.samples)
            if kept is not None:
                return {"calibrated_on": precision.sample_origin, "float32_layers": kept}
    return {}


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file; its own metadata describe it."""
    graph = OnnxGraph(path)
    if graph.description != description:
        raise RuntimeError(f"{path} describes itself as {graph.description}, not {description}")
    return graph


def _write_float32(graph: ExportedGraph, path: Path) -> None:
    inputs, free_sizes = example_inputs(graph)
    with torch.no_grad():
        program = torch.onnx.export(
            graph,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(graph.output_names),
            dynamic_shapes=free_sizes,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    for node in program.model.graph:
        node.metadata_props.clear()  # where in the source it comes from
    program.model.metadata_props[METADATA_KEY] = graph.description.to_json()
    weights = sum(tensor.nbytes for tensor in graph.state_dict().values())
    program.save(path, external_data=weights > _LARGEST_MESSAGE)
