"""Graphs in ONNX files, run by ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from edge_sam.errors import EdgeSamError
from edge_sam.runtime.graphs import Array, GraphDescription, GraphPair
from edge_sam.runtime.predictor import GraphPredictor

METADATA_KEY = "edge_sam"
"""Under which an ONNX file's metadata hold its :class:`GraphDescription`."""


class OnnxGraph:
    """One ONNX file.

    Args:
        path: what ``edgesam export`` wrote.
        providers: ONNX Runtime's execution providers, by name, the preferred one first; the CPU's if none are named.
        threads: of the session; 0 leaves it to ONNX Runtime.

    Raises:
        EdgeSamError: no such file, a truncated or foreign one, one that this project did not write.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None, threads: int = 0) -> None:
        path = Path(path)
        if not path.is_file():
            raise EdgeSamError(f"{path}: no such file; `edgesam export CHECKPOINT --to onnx` writes it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=list(providers or ["CPUExecutionProvider"])
            )
        except Exception as error:  # ONNX Runtime's exceptions have no public common class
            reason = " ".join(str(error).split())[:160]
            raise EdgeSamError(f"{path}: ONNX Runtime cannot load it ({reason}); export it again") from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise EdgeSamError(f"{path}: not written by edgesam export: it lacks the metadata {METADATA_KEY!r}")
        self.description = GraphDescription.from_json(metadata[METADATA_KEY], str(path))

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Run the graph."""
        outputs: Sequence[Array] = self.session.run(None, dict(inputs))
        return outputs


class OnnxSamPredictor(GraphPredictor):
    """Predicts from an exported pair of ONNX files.

    Args:
        encoder: ``*_encoder.onnx``.
        decoder: ``*_decoder.onnx`` of the same export.
        providers: ONNX Runtime's execution providers, see :class:`OnnxGraph`.
        threads: of each session; 0 leaves it to ONNX Runtime.

    Raises:
        EdgeSamError: as :class:`OnnxGraph`; or two files for different sizes.
    """

    def __init__(
        self,
        encoder: str | Path,
        decoder: str | Path,
        providers: Sequence[str] | None = None,
        threads: int = 0,
    ) -> None:
        super().__init__(GraphPair(OnnxGraph(encoder, providers, threads), OnnxGraph(decoder, providers, threads)))
