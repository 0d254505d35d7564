"""In which numbers an exported network computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sam.runtime.graphs import Array

Quantization = Literal["int8", "fp16"]


@dataclass(frozen=True)
class Precision:
    """How a graph is stored and computed.

    Attributes:
        quantization: ``int8``: an encoder's convolutions in 8 bits, calibrated, or the weights of its linear layers; a
            decoder's large weights in 8 bits. ``fp16``: half precision. None: float32.
        samples: inputs of the graph, by name, whose activations set the ranges of ``int8``, or choose what stays out.
        sample_origin: how many they are and of what, for the comparison of a graph that they were used for.
    """

    quantization: Quantization | None = None
    samples: Sequence[Mapping[str, Array]] = ()
    sample_origin: str = ""


Notes = dict[str, str | list[str]]
"""What a comparison should say of a written file beyond its numbers."""

FLOAT32 = Precision()
