"""From a model to exported files and the proof beside them."""

import json
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError
from edge_sam.export.graphs import decoder_graph, encoder_graph
from edge_sam.export.parity import Parity, compare
from edge_sam.export.precision import Notes, Precision, Quantization
from edge_sam.export.reference import reference_graphs
from edge_sam.export.targets import find_target, stored_bytes
from edge_sam.export.torch_export import TorchGraph
from edge_sam.modeling.sam import Sam
from edge_sam.runtime.graphs import Array, DescribedGraph, GraphDescription, GraphPair
from edge_sam.runtime.pictures import normalised_square
from edge_sam.runtime.predictor import GraphPredictor

Part = Literal["encoder", "decoder"]
Picture = NDArray[np.uint8]

_OF_THE_DECODER = ("postprocess", "use_stability_score", "num_multimask_outputs")

_NOT_RUN = (
    "These files run on Apple's systems alone and were not run here: the numbers are of the graphs that were "
    "converted, in float32. Compare again on a Mac."
)

_DRAWN = "int8 is judged on drawings: photographs may lose more. Give your own by --images DIR."


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        target: a format, see :mod:`edge_sam.export.targets`.
        stem: of the files: ``STEM_encoder.onnx``, ``STEM_decoder.onnx``, ``STEM.onnx.parity.json``; of one part alone
            ``STEM_encoder.onnx.parity.json``, so that the other one's comparison stays.
        description: what the graphs compute.
        parts: which of them.
        quantization: None for float32.
        max_miou_loss: the gate, in points.
        images: folder that the pictures are from; None: they are drawn. The comparison says so.

    Raises:
        EdgeSamError: a gate below 0, or what a part that is not exported should do.
    """

    target: str
    stem: Path
    description: GraphDescription
    parts: Sequence[Part] = ("encoder", "decoder")
    quantization: Quantization | None = None
    max_miou_loss: float = 1.0
    images: Path | None = None

    def __post_init__(self) -> None:
        if not self.max_miou_loss >= 0:
            raise EdgeSamError(f"the largest mIoU loss is {self.max_miou_loss} points; it should be 0 or more")
        asked: dict[Part, tuple[str, ...]] = {"encoder": ("preprocess",), "decoder": _OF_THE_DECODER}
        for part, names in asked.items():
            for name in names:
                usual = getattr(GraphDescription(self.description.image_size), name)
                if part not in self.parts and getattr(self.description, name) != usual:
                    raise EdgeSamError(f"{name.replace('_', ' ')} is the {part}'s, which is not exported: ask for both")

    @property
    def name(self) -> str:
        """What the names of its files begin with."""
        return f"{self.stem.name}_{self.quantization}" if self.quantization else self.stem.name

    @property
    def parity_file(self) -> Path:
        """Where the comparison is written."""
        of_one_part = f"_{self.parts[0]}" if len(self.parts) == 1 else ""
        return self.stem.with_name(f"{self.name}{of_one_part}.{self.target}.parity.json")


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from PyTorch.

    Attributes:
        files: by part.
        parity: what was found.
        programs: by part, operations and shapes of files that nothing runs on this machine. Then ``parity`` is of the
            graphs that were converted.
        notes: what else there is to say.
        parity_file: where it is written.
    """

    files: dict[Part, Path]
    parity: Parity
    programs: dict[Part, dict[str, Any]]
    notes: Notes
    parity_file: Path


class MissedGateError(EdgeSamError):
    """Masks of exported files are too far from PyTorch's.

    Args:
        report: the whole report, kept as an attribute.
        max_miou_loss: the gate, in points.
    """

    def __init__(self, report: ExportReport, max_miou_loss: float) -> None:
        names = ", ".join(path.name for path in report.files.values())
        super().__init__(
            f"{names}: masks differ from PyTorch's by {report.parity.miou_loss:.2f} mIoU points, more than the allowed "
            f"{max_miou_loss:g}: do not use these files; see {report.parity_file}"
        )
        self.report = report


def export(
    sam: Sam, request: ExportRequest, pictures: Sequence[Picture], calibration: Sequence[Picture] = ()
) -> ExportReport:
    """Write the files, compare them with PyTorch, write the comparison.

    Args:
        sam: the model.
        request: what to export.
        pictures: RGB uint8 (H, W, 3), to compare on.
        calibration: others, which set the ranges of ``int8``.

    Raises:
        EdgeSamError: no such target, the model itself answers NaN or infinity, a package is missing, the target cannot
            hold such a graph, a file cannot be written.
        MissedGateError: the loss is above the gate; the files are there all the same, for looking into it.
    """
    target = find_target(request.target)
    reference = reference_graphs(sam)
    for picture in pictures[:1]:
        _expect_finite_answers(reference, picture)
    pair: dict[Part, DescribedGraph] = {"encoder": reference.encoder, "decoder": reference.decoder}
    files: dict[Part, Path] = {}
    programs: dict[Part, dict[str, Any]] = {}
    looked_at = calibration[: target.most_samples]
    precisions = {part: _precision(request, part, looked_at) for part in request.parts}
    notes = _origin(request, len(pictures))
    for part in request.parts:
        graph = (encoder_graph if part == "encoder" else decoder_graph)(sam, request.description)
        files[part] = request.stem.with_name(f"{request.name}_{part}{target.suffix}")
        _prepare_folder(files[part])
        notes |= target.write(graph, files[part], precisions[part])
        if target.runtime is None:
            programs[part] = target.describe_program(files[part])
            pair[part] = TorchGraph(graph, request.description)
        else:
            pair[part] = target.read(files[part], request.description)
    runtime = target.runtime or "converted_graph"
    parity = compare(reference, GraphPair(pair["encoder"], pair["decoder"]), pictures, runtime)
    parity = _without_times_of_others(parity, request.parts)
    report = ExportReport(files, parity, programs, notes, request.parity_file)
    write_atomically(report.parity_file, json.dumps(_as_tree(report, request), indent=2) + "\n")
    if not _passes(parity, request.max_miou_loss):
        raise MissedGateError(report, request.max_miou_loss)
    return report


def _expect_finite_answers(reference: GraphPair, picture: Picture) -> None:
    """Ask one prompt, so that nothing is written of a model with broken weights."""
    predictor = GraphPredictor(reference, expect_finite=False)
    predictor.set_image(picture)
    height, width = predictor.original_size
    middle, whole = np.array([[width / 2, height / 2]]), np.array([0, 0, width, height], np.float64)
    _, scores, logits = predictor.predict(middle, np.ones(1, np.int64), whole, num_multimask_outputs=4)
    embedding = predictor.get_image_embedding()
    for name, values in {"image embedding": embedding, "mask logits": logits, "mask scores": scores}.items():
        if not np.isfinite(values).all():
            raise EdgeSamError(
                f"the model itself answers NaN or infinity in its {name}, before any export: its weights are broken; "
                "give a sound checkpoint"
            )


def _origin(request: ExportRequest, compared: int) -> Notes:
    """Say which pictures the comparison is of."""
    notes: Notes = {"compared_on": _counted(compared, request.images)}
    if request.quantization == "int8" and request.images is None:
        notes["warning"] = _DRAWN
    return notes


def _counted(number: int, folder: Path | None, which: str = "") -> str:
    pictures = "picture" if number == 1 else "pictures"
    of_folder = f"{pictures} of {folder.resolve().name}" if folder is not None else f"drawn {pictures}"
    return f"{number} {which}{of_folder}"


def _without_times_of_others(parity: Parity, parts: Sequence[Part]) -> Parity:
    """Drop the latencies of a part that PyTorch stood in for."""
    latency = {
        runtime: {step: time for step, time in steps.items() if step.partition("_")[0] in parts}
        for runtime, steps in parity.latency_ms.items()
    }
    return replace(parity, latency_ms=latency)


def _precision(request: ExportRequest, part: Part, calibration: Sequence[Picture]) -> Precision:
    """Return how a part is written: an encoder of ``int8`` with samples, so that it can be calibrated."""
    if request.quantization != "int8" or part == "decoder":
        return Precision(request.quantization)
    if not calibration:
        raise EdgeSamError("int8 is calibrated on pictures: give some, best your own")
    samples: list[dict[str, Array]]
    if request.description.preprocess:
        samples = [{"image": picture} for picture in calibration]
    else:
        size = request.description.image_size
        samples = [{"images": normalised_square(picture, size)} for picture in calibration]
    return Precision("int8", samples, _counted(len(samples), request.images, "other "))


def describe(report: ExportReport) -> str:
    """Return a report in lines for people."""
    parity = report.parity
    sizes = [f"{path}  {stored_bytes(path) / 2**20:.1f} MiB" for path in report.files.values()]
    differences = ", ".join(f"{name} {value:.2g}" for name, value in parity.max_difference.items())
    times = [
        f"{step}: " + ", ".join(f"{runtime} {steps[step]:.1f} ms" for runtime, steps in parity.latency_ms.items())
        for step in parity.latency_ms["pytorch"]
    ]
    notes = report.notes.items()
    return "\n".join(
        [
            *sizes,
            *([_NOT_RUN] if report.programs else []),
            f"against PyTorch, {parity.prompts} prompts on {parity.pictures} pictures:",
            f"  masks: mean IoU {parity.mean_mask_iou:.5f}, worst {parity.worst_mask_iou:.5f}",
            f"  largest difference: {differences}",
            *(f"  {line}" for line in times),
            *(f"  {name}: {note if isinstance(note, str) else ', '.join(note) or 'none'}" for name, note in notes),
            f"  {report.parity_file}",
        ]
    )


def _prepare_folder(file: Path) -> None:
    """Find out before a graph is traced, which takes minutes, whether a file can be written there at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise EdgeSamError(f"{file.parent}: cannot be written ({error.strerror})") from error


def _as_tree(report: ExportReport, request: ExportRequest) -> dict[str, Any]:
    return {
        "target": request.target,
        "quantization": request.quantization,
        "graph": asdict(request.description),
        "files": {part: {"name": path.name, "bytes": stored_bytes(path)} for part, path in report.files.items()},
        **asdict(report.parity),
        **report.notes,
        **({"not_run": _NOT_RUN, "programs": report.programs} if report.programs else {}),
        "miou_loss": report.parity.miou_loss,
        "max_miou_loss": request.max_miou_loss,
        "passed": _passes(report.parity, request.max_miou_loss),
        "machine": platform.machine(),
        "torch": version("torch"),
    }


def _passes(parity: Parity, max_miou_loss: float) -> bool:
    finite = all(np.isfinite(value) for value in parity.max_difference.values())
    return finite and parity.miou_loss <= max_miou_loss
