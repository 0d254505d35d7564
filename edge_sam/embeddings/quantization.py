"""Embeddings as eight-bit integers: symmetric, one scale a channel and image."""

import numpy as np
import numpy.typing as npt

LARGEST = 127
"""Integers lie in [-127, 127]; -128 never occurs, so a store can fill what was not written with it."""


def quantize(embeddings: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Turn embeddings (N, C, h, w) into integers and scales (N, C).

    A channel's largest magnitude becomes 127, so no value is clipped; a channel of zeros has scale 0.
    """
    values = embeddings.astype(np.float32)
    scale = np.abs(values).max(axis=(2, 3)) / np.float32(LARGEST)
    divisor = np.where(scale > 0, scale, np.float32(1))
    integers = np.rint(values / divisor[:, :, None, None]).clip(-LARGEST, LARGEST).astype(np.int8)
    return integers, scale


def dequantize(integers: npt.NDArray[np.int8], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Turn integers (N, C, h, w) and scales (N, C) back into embeddings, float16 as in a store without integers."""
    return (integers * scale[:, :, None, None]).astype(np.float16)
