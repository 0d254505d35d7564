"""LiteRT (once TensorFlow Lite): a graph as ``.tflite`` for Android, embedded Linux and other small devices.

Its converter wants fixed sizes, so a decoder's file holds a signature for each number of points, with a box and
without: ``points_3``, ``box_5``. They share their weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

import litert_torch
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor, nn

from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import DecoderGraph, EncoderGraph, ExportedGraph, example_inputs, without_interpolation
from edge_sam.export.litert_quantization import halve, quantize_decoder, quantize_encoder
from edge_sam.export.precision import Notes, Precision
from edge_sam.runtime.graphs import TOP_LEFT_LABEL, Array, DescribedGraph, GraphDescription

MOST_POINTS = 8
"""Of a prompt, the two corners of a box among them."""


def write(graph: ExportedGraph, path: Path, precision: Precision) -> Notes:
    """Write a graph; bicubic interpolation in it becomes matrices. ``fp16`` halves the stored weights alone.

    Returns:
        For an encoder whose convolutions are of 8 bits: ``calibrated_on``, and ``float32_layers``, the dense ones that
        are left as they were.

    Raises:
        EdgeSamError: a graph that resizes pictures or masks, or one that litert-torch cannot convert.
    """
    if graph.description.preprocess or graph.description.postprocess:
        raise EdgeSamError("litert takes neither preprocessing nor postprocessing: leave them out")
    model, notes = _convert(graph, path.name), Notes()
    if precision.quantization == "fp16":
        model = halve(model)
    elif precision.quantization == "int8" and isinstance(graph, EncoderGraph):
        model, kept = quantize_encoder(model, precision.samples)
        if kept is not None:
            notes = {"calibrated_on": precision.sample_origin, "float32_layers": kept}
    elif precision.quantization == "int8":
        model = quantize_decoder(model)
    path.write_bytes(model)
    return notes


def _convert(graph: ExportedGraph, file_name: str) -> bytes:
    converter = litert_torch
    for name, module, inputs in _signatures(graph):
        converter = converter.signature(name, module.eval(), sample_kwargs=inputs)
    try:
        model = converter.convert()
    except Exception as error:  # the converter's exceptions have no public common class
        packages = ", ".join(f"{name} {version(name)}" for name in ("litert-torch", "torch"))
        reason = " ".join(str(error).split())[:160]
        raise EdgeSamError(f"{file_name}: {packages} cannot convert this graph ({reason})") from error
    return cast(bytes, model.model_content())


def _signatures(graph: ExportedGraph) -> Iterator[tuple[str, nn.Module, dict[str, Tensor]]]:
    """Yield the name of each, what it computes, and inputs of its sizes."""
    inputs, _ = example_inputs(graph)
    if isinstance(graph, EncoderGraph):
        without_interpolation(graph.encoder)
        yield "encode", graph, inputs
    elif isinstance(graph, DecoderGraph):
        for has_box in (False, True):
            for points in range(2 if has_box else 1, MOST_POINTS + 1):
                of_one_prompt = {
                    "point_coords": inputs["point_coords"].new_zeros(1, points, 2),
                    "point_labels": inputs["point_labels"].new_ones(1, points),
                }
                yield _name(points, has_box), _OnePromptDecoder(graph, has_box), {**inputs, **of_one_prompt}


def _name(points: int, has_box: bool) -> str:
    return f"{'box' if has_box else 'points'}_{points}"


class _OnePromptDecoder(nn.Module):
    """A decoder that knows beforehand whether there is a box, and so whether SAM's padding point is added."""

    def __init__(self, decoder: DecoderGraph, has_box: bool) -> None:
        super().__init__()
        self.decoder = decoder  # not graph: that is what torch.fx calls its own
        self.has_box = has_box

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode, see :class:`DecoderGraph`."""
        sparse = self.decoder.prompt_encoder.embed_points(point_coords, point_labels, pad=not self.has_box)
        return self.decoder.decode(image_embeddings, sparse, mask_input, has_mask_input)


def read(path: Path, description: GraphDescription) -> DescribedGraph:
    """Return what runs a written file, on the CPU."""
    return _LitertGraph(path, description)


class _LitertGraph:
    """All signatures of a file; prompts are decoded one after the other."""

    def __init__(self, path: Path, description: GraphDescription) -> None:
        self.description = description
        self._interpreter = Interpreter(model_path=str(path))  # the runners borrow from it

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        if "point_coords" not in inputs:
            return self._run("encode", inputs)
        coordinates, labels = inputs["point_coords"], inputs["point_labels"]
        points, has_box = labels.shape[1], bool((labels == TOP_LEFT_LABEL).any())
        if not 1 <= points <= MOST_POINTS:
            raise EdgeSamError(f"a .tflite decoder takes 1 to {MOST_POINTS} points, the corners of a box too: {points}")
        of_prompts = [
            self._run(_name(points, has_box), {**inputs, "point_coords": xy[None], "point_labels": label[None]})
            for xy, label in zip(coordinates, labels, strict=True)
        ]
        return [np.concatenate(answers) for answers in zip(*of_prompts, strict=True)]

    def _run(self, signature: str, inputs: Mapping[str, Array]) -> list[Array]:
        found = self._interpreter.get_signature_runner(signature)(**inputs)
        return [np.array(found[name]) for name in sorted(found, key=lambda name: int(name.rpartition("_")[2]))]
