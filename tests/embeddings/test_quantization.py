import numpy as np

from edge_sam.embeddings.quantization import dequantize, quantize


def test_error_is_at_most_half_a_step():
    embeddings = np.random.default_rng(0).standard_normal((2, 5, 4, 4)).astype(np.float32)
    embeddings *= np.array([1e-3, 1, 10, 1e3, 0], np.float32)[None, :, None, None]
    integers, scale = quantize(embeddings)
    assert integers.dtype == np.int8 and scale.dtype == np.float32
    assert integers.min() >= -127
    error = np.abs(integers * scale[:, :, None, None] - embeddings)
    assert (error <= scale[:, :, None, None] * 0.5001).all()


def test_zero_channel_and_largest_float16_survive():
    embeddings = np.zeros((1, 2, 2, 2), np.float32)
    embeddings[0, 1, 0] = [65504, -65504]
    restored = dequantize(*quantize(embeddings))
    assert restored.dtype == np.float16
    np.testing.assert_array_equal(restored, embeddings)
