"""The formats that a network can be exported to, each with packages of its own."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import ExportedGraph
from edge_sam.export.precision import FLOAT32, Notes, Precision, Quantization
from edge_sam.runtime.graphs import DescribedGraph, GraphDescription


@dataclass(frozen=True)
class Target:
    """One format.

    Attributes:
        name: as ``--to`` takes it.
        suffix: of its files.
        runtime: what runs it here, as named in parity reports; None where nothing does.
        module: under ``edge_sam.export``, with ``write`` and ``read``.
        packages: that it imports; the extra of the same name brings them.
        quantizations: what it can be written in beside float32.
        most_samples: calibration pictures that its ``int8`` looks at, at most; None: all.
    """

    name: str
    suffix: str
    runtime: str | None
    module: str
    packages: tuple[str, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    most_samples: int | None = None

    def write(self, graph: ExportedGraph, path: Path, precision: Precision = FLOAT32) -> Notes:
        """Write a graph as a file; return what a comparison should say of it.

        Raises:
            EdgeSamError: a package of this target is not installed, it has no such precision, or the file cannot be
                written.
        """
        wanted = precision.quantization
        if wanted is not None and wanted not in self.quantizations:
            raise EdgeSamError(f"{self.name} is not written in {wanted}, but in {' or '.join(self._precisions())}")
        write = cast(Callable[[ExportedGraph, Path, Precision], Notes], self._function("write"))
        try:
            return write(graph, path, precision)
        except OSError as error:
            raise EdgeSamError(f"{path}: cannot be written ({error.strerror or error})") from error

    def read(self, path: Path, description: GraphDescription) -> DescribedGraph:
        """Return what runs a written file.

        Raises:
            EdgeSamError: a package of this target is not installed.
        """
        return cast(Callable[[Path, GraphDescription], DescribedGraph], self._function("read"))(path, description)

    def describe_program(self, path: Path) -> dict[str, Any]:
        """Return the operations and shapes of a written file that nothing runs here."""
        return cast(Callable[[Path], dict[str, Any]], self._function("describe_program"))(path)

    def _precisions(self) -> list[str]:
        return ["float32", *self.quantizations]

    def _function(self, name: str) -> object:
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise EdgeSamError(f"{self.name} needs the package {package}: pip install 'edge-sam[{self.name}]'")
        return getattr(importlib.import_module(f"edge_sam.export.{self.module}"), name)


_ONNX = ("onnx", "onnxscript", "onnxruntime")
_LITERT = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
_TARGETS = {
    target.name: target
    for target in (
        Target("onnx", ".onnx", "onnxruntime", "onnx", _ONNX, ("int8", "fp16")),
        Target("openvino", ".xml", "openvino", "openvino", (*_ONNX, "openvino"), ("int8", "fp16")),
        Target("coreml", ".mlpackage", None, "coreml", ("coremltools",), ("fp16",)),
        Target("litert", ".tflite", "litert", "litert", _LITERT, ("int8", "fp16"), most_samples=3),
        Target("torch.export", ".pt2", "torch.export", "torch_export"),
        Target("torchscript", ".torchscript", "torchscript", "torchscript"),
    )
}

TARGET_NAMES = tuple(_TARGETS)


def find_target(name: str) -> Target:
    """Return the format of a name.

    Raises:
        EdgeSamError: there is none.
    """
    if name not in _TARGETS:
        raise EdgeSamError(f"{name}: no such target; known are {', '.join(TARGET_NAMES)}")
    return _TARGETS[name]


def stored_bytes(path: Path) -> int:
    """Return the size of a written file, of those that belong to it, or of all in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    weights = {".xml": path.with_suffix(".bin"), ".onnx": path.with_name(f"{path.name}.data")}.get(path.suffix)
    return sum(file.stat().st_size for file in (path, weights) if file is not None and file.is_file())
