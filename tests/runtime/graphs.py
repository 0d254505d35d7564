"""A pair of graphs whose answers are known: no network, no files."""

from collections.abc import Mapping, Sequence

import numpy as np

from edge_sam.runtime.graphs import Array, GraphDescription, GraphPair


class DiscEncoder:
    """The embedding is the mean colour of each 16 x 16 pixels."""

    def __init__(self, description: GraphDescription) -> None:
        self.description = description
        self.calls: list[Mapping[str, Array]] = []

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        self.calls.append(inputs)
        side = self.description.image_size // 16
        return [np.zeros((1, 256, side, side), np.float32)]


class DiscDecoder:
    """Mask k of a prompt is a disc of radius 4 (k + 1) input pixels about the mean of its points."""

    def __init__(self, description: GraphDescription) -> None:
        self.description = description
        self.calls: list[Mapping[str, Array]] = []

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        self.calls.append(inputs)
        side, count = self.description.image_size // 4, self.description.num_multimask_outputs
        coordinates = inputs["point_coords"]
        centre = coordinates.mean(axis=1) if coordinates.shape[1] else np.zeros((len(coordinates), 2))
        rows, columns = np.mgrid[:side, :side] * 4 + 2
        distance = np.hypot(columns - centre[:, 0, None, None], rows - centre[:, 1, None, None])
        logits = np.stack([4 * (k + 1) - distance for k in range(count)], axis=1).astype(np.float32)
        scores = np.tile(np.arange(count, dtype=np.float32), (len(logits), 1))
        return [logits, scores]


def disc_graphs(**options) -> GraphPair:
    description = GraphDescription(64, **options)
    return GraphPair(DiscEncoder(description), DiscDecoder(description))
