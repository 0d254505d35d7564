"""What an exported pair of graphs is: named arrays in, arrays out, and what it computes beside the network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_sam.errors import EdgeSamError
from edge_sam.inputs.prompts import expect_number_of_masks

Array = NDArray[Any]

TOP_LEFT_LABEL = 2
"""Label of a box's first corner, which travels as a point; the second one has the next label."""

_CHOSEN_OF_FOUR = {1: slice(0, 1), 3: slice(1, 4), 4: slice(0, 4)}


@dataclass(frozen=True)
class GraphDescription:
    """What a graph computes; it travels in the metadata of the exported file.

    Attributes:
        image_size: side of the network's square input, in pixels.
        preprocess: the encoder takes a picture of any size, uint8 (H, W, 3), and resizes, normalises and pads it.
        postprocess: the decoder also takes the picture's size and gives logits of that size.
        num_multimask_outputs: masks a prompt: 1, 3, or 4 (the single one, then the three).
        use_stability_score: scores say how little a mask changes with the threshold; else they are predicted IoU.
        gelu_approximate: GELU is computed by its tanh formula.
    """

    image_size: int
    preprocess: bool = False
    postprocess: bool = False
    num_multimask_outputs: int = 4
    use_stability_score: bool = False
    gelu_approximate: bool = False

    def __post_init__(self) -> None:
        expect_number_of_masks(self.num_multimask_outputs)

    def chosen_masks(self, wanted: int) -> slice:
        """Return which of the masks of a prompt answer to ``num_multimask_outputs`` = ``wanted``.

        Raises:
            EdgeSamError: another number, a bool, or the graph does not make these.
        """
        expect_number_of_masks(wanted)
        if self.num_multimask_outputs == wanted:
            return slice(None)
        if self.num_multimask_outputs != 4:
            raise EdgeSamError(
                f"this decoder was exported with {self.num_multimask_outputs} masks a prompt, not {wanted}: "
                "export it with 4"
            )
        return _CHOSEN_OF_FOUR[wanted]

    def to_json(self) -> str:
        """Write it as text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str, source: str) -> "GraphDescription":
        """Read it again.

        Args:
            text: what :meth:`to_json` wrote.
            source: where it is from, for the error.

        Raises:
            EdgeSamError: other text.
        """
        try:
            values = json.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(GraphDescription)}:
            raise EdgeSamError(f"{source}: its description is not this version's: {text[:120]!r}; export it again")
        return GraphDescription(**values)


class DescribedGraph(Protocol):
    """A graph that says what it computes."""

    @property
    def description(self) -> GraphDescription:
        """What it computes."""

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Take inputs by name, give outputs in their order."""


class GraphPair:
    """Encoder and decoder of one network.

    Args:
        encoder: ``images`` float32 (1, 3, s, s), or ``image`` uint8 (H, W, 3), -> embedding (1, 256, s/16, s/16).
        decoder: see :class:`edge_sam.export.graphs.DecoderGraph` -> logits, scores, with ``postprocess`` also logits of
            the picture's size.

    Raises:
        EdgeSamError: they are for different sizes.
    """

    def __init__(self, encoder: DescribedGraph, decoder: DescribedGraph) -> None:
        sizes = encoder.description.image_size, decoder.description.image_size
        if sizes[0] != sizes[1]:
            raise EdgeSamError(
                f"the encoder is for {sizes[0]} pixels, the decoder for {sizes[1]}: take one export's two"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.description = replace(decoder.description, preprocess=encoder.description.preprocess)
