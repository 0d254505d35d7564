"""The models of a comparison: what each file holds, recognised before anything is measured."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.answers import PromptedModel
from edge_sam.evaluation.exported_model import ExportedSam, check_protocol
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.checkpoints import file_sha256, read_state
from edge_sam.modeling.loading import build_network, network_of
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import find_network, read_network_settings
from edge_sam.modeling.pretrained import CONFIG_NAME, WEIGHTS_NAME, load_pretrained
from edge_sam.modeling.repvit import UpsampleMode
from edge_sam.modeling.sam import Sam

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Told:
    """What is known of a network whose file does not tell; None leaves it to the tensors and the official sizes."""

    model_type: str | None = None
    image_size: int | None = None
    upsample_mode: UpsampleMode | None = None


@dataclass(frozen=True)
class ComparedModel:
    """A model by its file.

    Attributes:
        name: of the model in tables; no other one has it.
        source: the file or files, as given.
        sha256: of their content.
        network: everything else that decides its numbers, as JSON knows it.
        kind: the same in a few words.
        image_size: side of its input in pixels.
        parameters: how many; None where the file does not tell.
        device: where it computes.
        open: builds it there, ready to answer.
        check: raises an EdgeSamError for a protocol that it cannot answer.
        exported: a graph, whose number format is its own.
    """

    name: str
    source: str
    sha256: str
    network: dict[str, Any]
    kind: str
    image_size: int
    parameters: int | None
    device: torch.device
    open: Callable[[], PromptedModel]
    check: Callable[[EvaluationProtocol], None] = lambda protocol: None
    exported: bool = False

    def precision(self, amp: bool) -> str:
        """Return the number format that it computes in, with bf16 autocast or without."""
        return "as exported" if self.exported else "bf16" if amp else "float32"

    def in_words(self, amp: bool) -> str:
        """Return what its file is measured as: the network and the number format, see :meth:`precision`."""
        return f"{self.kind}; {self.precision(amp)}"


def find_models(texts: Sequence[str], told: Told, device: torch.device) -> list[ComparedModel]:
    """Look at each file.

    Args:
        texts: ``FILE`` or ``NAME=FILE``, where FILE is a weight file, a folder of save_pretrained, a folder with an
            exported pair of ONNX files, or the two as ``ENCODER.onnx,DECODER.onnx``.
        told: for files that do not say which network they hold.
        device: for all but exported graphs, which run on the CPU.

    Raises:
        EdgeSamError: no such file, one that is no model, two of one name.
    """
    models: list[ComparedModel] = []
    for text in texts:
        model = _find_model(text, told, device)
        twin = next((other for other in models if other.name == model.name), None)
        if twin is not None:
            raise EdgeSamError(
                f"{model.source}: is called {model.name}, as {twin.source} is: give it a name, OTHER={model.source}"
            )
        models.append(model)
    return models


def _find_model(text: str, told: Told, device: torch.device) -> ComparedModel:
    name, equals, source = text.partition("=")
    if not (equals and name) or Path(text).exists():
        name, source = "", text
    if "," in source and not Path(source).exists():
        encoder, decoder = source.split(",", maxsplit=1)
        model = _exported_pair(Path(encoder), Path(decoder))
    elif Path(source).is_dir() and not (Path(source) / CONFIG_NAME).is_file():
        model = _exported_pair(*_pair_in(Path(source)))
    elif Path(source).is_dir():
        model = _folder(Path(source), device)
    else:
        model = _weights(Path(source), told, device)
    return replace(model, name=name or model.name, source=source)


def _weights(path: Path, told: Told, device: torch.device) -> ComparedModel:
    state = read_state(path)
    if read_network_settings(path):
        told = Told()
    network = find_network(path, state, told.model_type, told.image_size, told.upsample_mode)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is copied
        sam = build_network(network, state, str(path))  # a file that does not fit is told now, not in an hour

    def load() -> PromptedModel:
        return build_network(network, read_state(path), str(path)).to(device)

    return _of_network(path.stem, path, sam, network, device, load)


def _folder(folder: Path, device: torch.device) -> ComparedModel:
    sam = load_pretrained(folder)
    weights = folder / WEIGHTS_NAME
    return _of_network(
        folder.resolve().name, weights, sam, network_of(sam), device, lambda: load_pretrained(folder).to(device)
    )


def _of_network(
    name: str, weights: Path, sam: Sam, network: Network, device: torch.device, load: Callable[[], PromptedModel]
) -> ComparedModel:
    return ComparedModel(
        name=name,
        source=str(weights),
        sha256=file_sha256(weights),
        network=network.settings,
        kind=network.in_words,
        image_size=network.image_size,
        parameters=sum(parameter.numel() for parameter in sam.parameters()),
        device=device,
        open=load,
    )


def _pair_in(folder: Path) -> tuple[Path, Path]:
    found = [sorted(folder.glob(f"*_{part}.onnx")) for part in ("encoder", "decoder")]
    if [len(files) for files in found] != [1, 1]:
        raise EdgeSamError(
            f"{folder}: holds neither {CONFIG_NAME} nor one *_encoder.onnx and one *_decoder.onnx (found "
            f"{len(found[0])} and {len(found[1])}); name the two files: ENCODER.onnx,DECODER.onnx"
        )
    return found[0][0], found[1][0]


def _exported_pair(encoder: Path, decoder: Path) -> ComparedModel:
    try:
        from edge_sam.runtime.onnx_graphs import OnnxSamPredictor  # which needs a package that not everybody has
    except ImportError as error:
        raise EdgeSamError(f"{encoder}: ONNX needs a package: pip install 'edge-sam[onnx]' ({error})") from error
    graphs = OnnxSamPredictor(encoder, decoder).graphs
    description = graphs.description
    hashes = [file_sha256(path) for path in (encoder, decoder)]
    hashes += [file_sha256(path) for path in map(_weights_beside, (encoder, decoder)) if path.is_file()]
    return ComparedModel(
        name=f"{encoder.stem.removesuffix('_encoder')} (ONNX)",
        source=f"{encoder},{decoder}",
        sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        network={"onnx": vars(description)},
        kind=f"ONNX, {description.image_size} px",
        image_size=description.image_size,
        parameters=None,
        device=_CPU,
        open=lambda: ExportedSam(OnnxSamPredictor(encoder, decoder).graphs),
        check=lambda protocol: check_protocol(description, protocol, str(decoder)),
        exported=True,
    )


def _weights_beside(graph: Path) -> Path:
    """Return where the weights of a graph lie that are too large for its file."""
    return graph.with_name(graph.name + ".data")
