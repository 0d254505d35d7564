"""What exported graphs are compared with: the network as it was trained, behind the graphs' interface."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edge_sam.modeling.sam import Sam
from edge_sam.runtime.graphs import TOP_LEFT_LABEL, Array, GraphDescription, GraphPair


def reference_graphs(sam: Sam) -> GraphPair:
    """Return a model's own encoder and decoder, unfolded; what a graph may take over is left to its surroundings."""
    description = GraphDescription(sam.image_size)
    return GraphPair(_Encoder(sam.eval(), description), _Decoder(sam.eval(), description))


class _Part:
    def __init__(self, sam: Sam, description: GraphDescription) -> None:
        self.sam = sam
        self.description = description


class _Encoder(_Part):
    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        return [self.sam.image_encoder(torch.from_numpy(inputs["images"])).numpy()]


class _Decoder(_Part):
    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        given = {name: torch.from_numpy(values) for name, values in inputs.items()}
        points, boxes = _points_and_boxes(given["point_coords"], given["point_labels"])
        prompt_encoder = self.sam.prompt_encoder
        masks = given["mask_input"] if given["has_mask_input"] > 0 else None
        sparse, dense = prompt_encoder(points, boxes, masks)
        pe = prompt_encoder.get_dense_pe()
        return [x.numpy() for x in self.sam.mask_decoder(given["image_embeddings"], pe, sparse, dense, 4)]


def _points_and_boxes(coordinates: Tensor, labels: Tensor) -> tuple[tuple[Tensor, Tensor] | None, Tensor | None]:
    """Take prompts apart again; a box's corners are the last two points of each or of none."""
    boxes = None
    if labels.shape[1] > 1 and bool((labels[:, -2] == TOP_LEFT_LABEL).all()):
        boxes = coordinates[:, -2:].reshape(-1, 4)
        coordinates, labels = coordinates[:, :-2], labels[:, :-2]
    return (coordinates, labels) if labels.shape[1] else None, boxes
