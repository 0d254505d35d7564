"""From a model to a folder that any static server serves: the page, its network, what runs it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from edge_sam import __version__
from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError
from edge_sam.export.precision import Quantization
from edge_sam.export.run import ExportReport, ExportRequest, MissedGateError, Picture, export
from edge_sam.modeling.sam import Sam
from edge_sam.runtime.graphs import GraphDescription
from edge_sam.runtime.pictures import PIXEL_MEAN, PIXEL_STD
from edge_sam.web import onnxruntime_web

MANIFEST = "model.json"
"""What the page reads first: which files there are, and what they hold. It is written last."""

_MADE_BY = "edgesam web"
_COMPARISON = "network/parity.json"


@dataclass(frozen=True)
class PageRequest:
    """What to build.

    Attributes:
        folder: to fill: a new or an empty one, or an earlier page, which is replaced.
        model_name: shown in the page.
        quantization: of both graphs; None for float32.
        max_miou_loss: the export's gate, in points.
        onnxruntime_web: where that package is, see :func:`edge_sam.web.onnxruntime_web.runtime_files`.
        images: folder that the pictures are from; None: they are drawn.
    """

    folder: Path
    model_name: str
    quantization: Quantization | None = None
    max_miou_loss: float = 1.0
    onnxruntime_web: Path | None = None
    images: Path | None = None


def build_page(
    sam: Sam, request: PageRequest, pictures: Sequence[Picture], calibration: Sequence[Picture] = ()
) -> ExportReport:
    """Export the network to ONNX, put page and runtime beside it.

    Args:
        sam: the model.
        request: what to build.
        pictures: RGB uint8 (H, W, 3), that the exported files are compared with PyTorch on.
        calibration: others, for ``int8``.

    Returns:
        What the export found; files and comparison are in the folder.

    Raises:
        EdgeSamError: the folder holds something else, onnxruntime-web cannot be had, the export fails or misses its
            gate, the network is too large for a browser, or a file cannot be written. Where the gate is missed, the
            comparison stays beside the folder as ``FOLDER.parity.json``.
    """
    _expect_ours(request.folder)
    runtime = onnxruntime_web.runtime_files(request.onnxruntime_web)
    with tempfile.TemporaryDirectory(prefix="edgesam_web") as temporary:
        report = _export(sam, request, Path(temporary) / "network", pictures, calibration)
        if any(path.suffix == ".data" for path in Path(temporary).iterdir()):  # weights beside the graph
            raise EdgeSamError(
                "this network has more than 2 GiB of weights, which no browser loads: take a smaller one"
            )
        contents = {f"network/{part}.onnx": path.read_bytes() for part, path in report.files.items()}
        contents[_COMPARISON] = report.parity_file.read_bytes()
    contents |= {f"runtime/{name}": content for name, content in runtime.items()}
    try:
        _write(request, contents, _manifest(sam, request, report, contents))
    except OSError as error:
        raise EdgeSamError(f"{error.filename or request.folder}: cannot be written ({error.strerror})") from error
    files = {part: request.folder / f"network/{part}.onnx" for part in report.files}
    return replace(report, files=files, parity_file=request.folder / _COMPARISON)


def _export(
    sam: Sam, request: PageRequest, stem: Path, pictures: Sequence[Picture], calibration: Sequence[Picture]
) -> ExportReport:
    """Export to ONNX; where the gate is missed, keep the comparison beside the page's folder."""
    wanted = ExportRequest(
        "onnx", stem, GraphDescription(sam.image_size), quantization=request.quantization,
        max_miou_loss=request.max_miou_loss, images=request.images,
    )  # fmt: skip
    try:
        return export(sam, wanted, pictures, calibration)
    except MissedGateError as error:
        folder = request.folder.resolve()
        kept = folder.with_name(f"{folder.name}.parity.json")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(error.report.parity_file, kept)
        except OSError as why:
            raise EdgeSamError(f"{kept}: cannot be written ({why.strerror})") from error
        raise MissedGateError(replace(error.report, parity_file=kept), request.max_miou_loss) from None


def _expect_ours(folder: Path) -> None:
    """Refuse to write among files that are not of an earlier page."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise EdgeSamError(f"{folder}: is a file; --out names a folder")
    if any(folder.iterdir()):
        try:
            made_by = json.loads((folder / MANIFEST).read_text())["made_by"]
        except (OSError, ValueError, KeyError, TypeError):
            made_by = None
        if made_by != _MADE_BY:
            raise EdgeSamError(f"{folder}: holds other files and no earlier page; name a new or an empty folder")


def _manifest(sam: Sam, request: PageRequest, report: ExportReport, contents: dict[str, bytes]) -> dict[str, Any]:
    def described(path: str) -> dict[str, Any]:
        content = contents[path]
        return {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    return {
        "made_by": _MADE_BY,
        "version": __version__,
        "name": request.model_name,
        "image_size": sam.image_size,
        "pixel_mean": PIXEL_MEAN,
        "pixel_std": PIXEL_STD,
        "quantization": request.quantization,
        "mean_mask_iou": report.parity.mean_mask_iou,
        "encoder": described("network/encoder.onnx"),
        "decoder": described("network/decoder.onnx"),
        "onnxruntime_web": onnxruntime_web.VERSION,
        "runtimes": {
            name: {"module": f"runtime/ort.{name}.js", "binary": described(f"runtime/ort.{name}.wasm")}
            for name in ("wasm", "webgpu")
        },
    }


def _write(request: PageRequest, contents: dict[str, bytes], manifest: dict[str, Any]) -> None:
    folder = request.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / MANIFEST, json.dumps({"made_by": _MADE_BY}))  # a page half written says so, and is ours
    for part in ("network", "runtime", "page"):
        shutil.rmtree(folder / part, ignore_errors=True)
    with as_file(files("edge_sam.web") / "page") as sources:
        for source in sorted(sources.iterdir()):
            place = folder / source.name if source.suffix == ".html" else folder / "page" / source.name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(source.read_bytes())
    for path, content in contents.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
