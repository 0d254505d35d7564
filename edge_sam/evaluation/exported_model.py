"""An exported pair of graphs in the place of a model, so that it is measured as one."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.answers import PromptDecoder
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.sam import normalize_images
from edge_sam.runtime.graphs import TOP_LEFT_LABEL, GraphDescription, GraphPair


class ExportedSam(nn.Module):
    """What the evaluation needs of a model, see :class:`edge_sam.evaluation.answers.PromptedModel`; on the CPU.

    Args:
        graphs: encoder and decoder.
    """

    def __init__(self, graphs: GraphPair) -> None:
        super().__init__()
        self.image_size = graphs.description.image_size
        self.image_encoder = _Encoder(graphs)
        self._graph = graphs.decoder
        self._description = graphs.description
        side = graphs.description.image_size // 4
        self._no_mask = {"mask_input": np.zeros((1, 1, side, side), np.float32), "has_mask_input": np.zeros(1, "f4")}

    def preprocess(self, images: Tensor, sizes: Tensor) -> list[Tensor]:
        """Return pictures, one by one, as the encoder takes them."""
        if self.image_encoder.takes_pictures:
            return [image[:, :h, :w] for image, (h, w) in zip(images, sizes.tolist(), strict=True)]
        return list(normalize_images(images, sizes))

    def decoder_for(self, embedding: Tensor) -> PromptDecoder:
        """Return what decodes prompts of an image."""
        return partial(self._decode, embedding.numpy())

    def _decode(
        self,
        embedding: NDArray[np.float32],
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: None,
        num_multimask_outputs: int,
    ) -> tuple[Tensor, Tensor]:
        prompts = _as_points(points, boxes).numpy()
        inputs = {"image_embeddings": embedding, "point_coords": prompts[..., :2], "point_labels": prompts[..., 2]}
        if self._description.postprocess:
            inputs["orig_im_size"] = np.full(2, 16, np.float32)  # what comes of it is not looked at
        chosen = self._description.chosen_masks(num_multimask_outputs)
        logits, scores = (torch.from_numpy(output[:, chosen]) for output in self._graph(inputs | self._no_mask)[:2])
        return logits, scores


class _Encoder(nn.Module):
    def __init__(self, graphs: GraphPair) -> None:
        super().__init__()
        self._graph = graphs.encoder
        self.takes_pictures = graphs.description.preprocess

    def forward(self, pictures: Sequence[Tensor]) -> Tensor:
        """Encode one by one: graphs have a batch size of one."""
        return torch.cat([torch.from_numpy(self._graph(self._inputs(picture))[0]) for picture in pictures])

    def _inputs(self, picture: Tensor) -> dict[str, np.ndarray]:
        if self.takes_pictures:
            return {"image": picture.permute(1, 2, 0).contiguous().numpy()}
        return {"images": picture[None].numpy()}


def _as_points(points: tuple[Tensor, Tensor] | None, boxes: Tensor | None) -> Tensor:
    """Return all prompts as points with labels, float32 (n, P, 3); a box is its two corners, the last points."""
    parts = []
    if points is not None:
        parts.append(torch.cat([points[0], points[1][..., None].to(points[0].dtype)], dim=-1))
    if boxes is not None:
        corners = boxes.reshape(-1, 2, 2)
        labels = corners.new_tensor([[TOP_LEFT_LABEL], [TOP_LEFT_LABEL + 1]]).expand(len(corners), 2, 1)
        parts.append(torch.cat([corners, labels], dim=-1))
    return torch.cat(parts, dim=1).float()


def check_protocol(description: GraphDescription, protocol: EvaluationProtocol, source: str) -> None:
    """Find out before the work that an export cannot answer as a protocol asks.

    Raises:
        EdgeSamError: it was exported with other masks, or without the predicted IoU that chooses among them.
    """
    several = protocol.num_multimask_outputs > 1
    try:
        description.chosen_masks(protocol.num_multimask_outputs)
    except EdgeSamError as error:
        raise EdgeSamError(f"{source}: {protocol.name}: {error}") from error
    if several and protocol.multimask_select == "score" and description.use_stability_score:
        raise EdgeSamError(
            f"{source}: {protocol.name}: this decoder was exported with stability scores and does not predict the IoU; "
            "export it without --use-stability-score"
        )
