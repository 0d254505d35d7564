"""LiteRT graphs in 8 or 16 bits, by AI Edge Quantizer.

Its integers of 8 bits have ranges that each run finds anew. Ranges that are set beforehand were measured, too: hardly
faster, and they cost more than twice as many points of mIoU.
"""

import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer.qtyping import (
    ComputePrecision,
    OpQuantizationConfig,
    TensorDataType,
    TensorQuantizationConfig,
    TFLOperationName,
)
from ai_edge_quantizer.quantizer import AlgorithmName, Quantizer
from numpy.typing import NDArray

from edge_sam.export.damage import most_damaged
from edge_sam.runtime.graphs import Array

_DENSE = re.compile("RepVit(Stem|Mlp)_|_channel_downsample")
"""Is in the names of the trunk's convolutions over many channels, but not of the attention over channels."""

_SMALLEST_INPUT = 16
"""Channels below which a convolution stays in float32: those of pictures, which take little time."""

_FEED_FORWARD = "MLPBlock_mlp/"
"""Is in the names of a decoder's feed-forward layers, half of its weights."""

_DAMAGE_LEFT = 0.1
"""Share of the squared error of 8 bits that may stay; the convolutions that make the rest of it stay in float32."""

_HALF = OpQuantizationConfig(
    weight_tensor_config=TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT),
    compute_precision=ComputePrecision.FLOAT,
    explicit_dequantize=True,
)


def quantize_encoder(model: bytes, samples: Sequence[Mapping[str, Array]]) -> tuple[bytes, list[str] | None]:
    """Make an encoder multiply integers of 8 bits.

    Of a convolutional trunk, the dense convolutions, which take most of the time, but for those few that are measured
    to make most of the error; all else stays in float32. A transformer's linear layers store their weights in 8 bits.

    Args:
        model: float32, the content of a file.
        samples: its inputs on pictures like those that it is for, which that error is measured on.

    Returns:
        The content of the new file, and the dense convolutions that stay in float32; None for a transformer.
    """
    chosen = _dense_convolutions(model)
    if not chosen:
        return _with_linear_weights_in_8_bits(Quantizer(model), ".*"), None
    kept = most_damaged(_rounding_damage(model, chosen, samples), _DAMAGE_LEFT)
    rounded = _with_convolutions_in_8_bits(model, [name for name in chosen if name not in kept])
    return rounded, sorted(_path(name) for name in kept)


def quantize_decoder(model: bytes) -> bytes:
    """Make a decoder store 8 bits a weight in its feed-forward layers and 16 in the others; it computes in float32."""
    return _with_linear_weights_in_8_bits(_halving(model), _FEED_FORWARD)


def halve(model: bytes) -> bytes:
    """Make a graph store 16 bits a weight; what runs it computes in float32, or in 16 bits where it is faster so."""
    return _result(_halving(model))


def _halving(model: bytes) -> Quantizer:
    quantizer = Quantizer(model)
    quantizer.update_quantization_recipe(".*", TFLOperationName.ALL_SUPPORTED, _HALF, AlgorithmName.FLOAT_CASTING)
    return quantizer


def _with_linear_weights_in_8_bits(quantizer: Quantizer, names: str) -> bytes:
    quantizer.add_weight_only_config(names, TFLOperationName.FULLY_CONNECTED, num_bits=8)
    return _result(quantizer)


def _with_convolutions_in_8_bits(model: bytes, names: Sequence[str]) -> bytes:
    quantizer = Quantizer(model)
    for name in names:
        quantizer.add_dynamic_config(f"^{re.escape(name)};", TFLOperationName.CONV_2D, num_bits=8)
    return _result(quantizer)


def _result(quantizer: Quantizer) -> bytes:
    root = logging.getLogger()
    root.addFilter(_is_news)
    try:
        return bytes(quantizer.quantize(enable_progress_bar=False, enable_progress_report=False).quantized_model)
    finally:
        root.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out the warning that comes with each further signature: weights that they share are rounded alike."""
    return "is overriding other previously quantized data" not in record.getMessage()


def _dense_convolutions(model: bytes) -> list[str]:
    """Return the names of what they give: a layer's path of classes and attributes, and a number."""
    content = flatbuffer_utils.read_model_from_bytearray(model)
    (graph,) = content.subgraphs
    found = []
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex].builtinCode
        if code == flatbuffer_utils.BuiltinOperator.CONV_2D:
            name, weight = graph.tensors[operator.outputs[0]].name.decode(), graph.tensors[operator.inputs[1]]
            if _DENSE.search(name) and weight.shape[-1] >= _SMALLEST_INPUT:  # C' x kh x kw x C
                found.append(name)
    return found


def _path(name: str) -> str:
    """Return ``encoder.stem.conv2`` for ``...EncoderGraph/...RepViTImageEncoder_encoder/...Stem_stem/...``."""
    _, *parts = name.partition(";")[0].split("/")
    return ".".join(part.rpartition(".")[2].partition("_")[2] for part in parts)


def _rounding_damage(
    model: bytes, convolutions: Sequence[str], samples: Sequence[Mapping[str, Array]]
) -> dict[str, float]:
    """Return what rounding each convolution alone makes of embeddings: squared error over the square of them."""
    exact = _embeddings(model, samples)

    def damage(name: str) -> float:
        difference = _embeddings(_with_convolutions_in_8_bits(model, [name]), samples) - exact
        return float(np.square(difference).sum() / np.square(exact).sum())

    return {name: damage(name) for name in convolutions}


def _embeddings(model: bytes, samples: Sequence[Mapping[str, Array]]) -> NDArray[np.float64]:
    interpreter = Interpreter(model_content=model)  # the runner borrows from it
    encode = interpreter.get_signature_runner("encode")
    return np.stack([next(iter(encode(**sample).values())) for sample in samples]).astype(np.float64)
