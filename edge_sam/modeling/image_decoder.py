"""Prompts of one embedded image become masks, by the fastest of the ways that give the same numbers."""

from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from edge_sam.modeling.shared_image_decoder import SharedImageDecoder

if TYPE_CHECKING:
    from edge_sam.modeling.sam import Sam


class ImageDecoder:
    """Decodes prompts of one image.

    Several prompts without masks are decoded together by :attr:`shared`, with the same numbers but for rounding. Its
    preparation pays from 3 prompts on at 1024 px, which then take down to a quarter of the time, and from 8 on at
    256 px; for fewer it costs some milliseconds, once. A single prompt, prompts with masks, and all where gradients or
    reduced precision are wanted are left to :class:`edge_sam.modeling.mask_decoder.MaskDecoder`.

    Args:
        sam: its prompt encoder and mask decoder.
        embedding: of the image, (1, C, h, w).

    Attributes:
        embedding: the same.
    """

    def __init__(self, sam: "Sam", embedding: Tensor) -> None:
        self._encoder, self._decoder = sam.prompt_encoder, sam.mask_decoder
        self.embedding = embedding

    def __call__(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        num_multimask_outputs: int,
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts, of whose kinds at least one is given.

        Args:
            points: (N, P, 2) in input pixels, and their labels (N, P).
            boxes: (N, 4), XYXY in input pixels.
            masks: (N, 1, 4h, 4w).
            num_multimask_outputs: K, see :meth:`edge_sam.modeling.mask_decoder.MaskDecoder.forward`.

        Returns:
            mask logits (N, K, 4h, 4w) and predicted IoU (N, K).
        """
        sparse, dense = self._encoder(points, boxes, masks)
        if masks is None and len(sparse) > 1 and self._may_share():
            return self.shared(sparse, num_multimask_outputs)
        if masks is None:
            dense = dense[:1]  # the same for all prompts: the image is not copied for each of them
        position = self._encoder.get_dense_pe()
        answers = self._decoder(self.embedding, position, sparse, dense, num_multimask_outputs)
        return cast(tuple[Tensor, Tensor], answers)

    @cached_property
    def shared(self) -> SharedImageDecoder:
        """What decodes many prompts without masks; prepared once."""
        _, dense = self._encoder(None, None, None)
        return self._decoder.for_one_image(self.embedding, self._encoder.get_dense_pe(), dense)

    def _may_share(self) -> bool:
        exact = self.embedding.dtype in (torch.float32, torch.float64)
        return exact and not torch.is_grad_enabled() and not torch.is_autocast_enabled(self.embedding.device.type)
