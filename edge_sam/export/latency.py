"""How long a pair of graphs takes, in this process, on this machine."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_sam.runtime.graphs import GraphPair
from edge_sam.runtime.predictor import GraphPredictor

_PROMPTS_AT_ONCE = (1, 16)
_RUNS = 3


def measure_latency(graphs: GraphPair, picture: NDArray[np.uint8]) -> dict[str, float]:
    """Return medians in milliseconds: ``encoder`` for one picture, ``decoder_N`` for N prompts together.

    With the resizing before the network; without the enlarging of masks behind it, unless that is in the graph.

    Args:
        graphs: what is measured.
        picture: RGB uint8 (H, W, 3).
    """
    predictor = GraphPredictor(graphs)
    times = {"encoder": _median_ms(lambda: predictor.set_image(picture))}
    for count in _PROMPTS_AT_ONCE:
        times[f"decoder_{count}"] = _median_ms(_decoding(predictor, count))
    return times


def _decoding(predictor: GraphPredictor, count: int) -> Callable[[], None]:
    size = predictor.graphs.description.image_size
    points = np.random.default_rng(0).uniform(0, size, (count, 1, 2)).astype(np.float32)
    inputs = {
        "image_embeddings": predictor.get_image_embedding(),
        "point_coords": points,
        "point_labels": np.ones((count, 1), np.float32),
        "mask_input": np.zeros((1, 1, size // 4, size // 4), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }
    if predictor.graphs.description.postprocess:
        inputs["orig_im_size"] = np.array(predictor.original_size, np.float32)
    return lambda: (predictor.graphs.decoder(inputs), None)[1]


def _median_ms(work: Callable[[], None]) -> float:
    work()  # the first run allocates
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return round(median(times), 3)
