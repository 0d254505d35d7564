"""SAM's mask decoder: image embedding and prompts become masks and their predicted IoU."""

import torch
from torch import Tensor, nn

from edge_sam.modeling.common import MLP, LayerNorm2d
from edge_sam.modeling.shared_image_decoder import SharedImageDecoder
from edge_sam.modeling.transformer import TwoWayTransformer

_CHOSEN_MASKS = {1: slice(0, 1), 3: slice(1, 4), 4: slice(0, 4)}


class MaskDecoder(nn.Module):
    """Decodes N prompts that belong to B images at once.

    Args:
        embed_dim: channels of image embedding and prompt tokens.
    """

    num_mask_tokens = 4

    def __init__(self, embed_dim: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(embed_dim=embed_dim)
        self.iou_token = nn.Embedding(1, embed_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, embed_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(embed_dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim // 4, embed_dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(embed_dim, embed_dim, embed_dim // 8, num_layers=3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(embed_dim, 256, self.num_mask_tokens, num_layers=3)

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        num_multimask_outputs: int = 1,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts into masks.

        Args:
            image_embeddings: (B, C, h, w).
            image_pe: position encoding of the embedding, (1, C, h, w).
            sparse: prompt tokens (N, T, C).
            dense: dense prompt embedding (N, C, h, w), or (1, C, h, w): the same for all prompts of one image.
            num_multimask_outputs: 1: the single mask; 3: SAM's three candidates; 4: the single mask, then the three.
            image_index: (N,) long, the image of each prompt; without it there is one image, or one for each prompt.

        Returns:
            mask logits (N, K, 4h, 4w) and predicted IoU (N, K), K = ``num_multimask_outputs``.
        """
        chosen = self.chosen_masks(num_multimask_outputs)
        if image_index is not None:
            image_embeddings = image_embeddings[image_index]
        num_prompts = sparse.shape[0]  # not len: an export would make it a constant
        own_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own_tokens.expand(num_prompts, -1, -1), sparse], dim=1)
        h, w = image_embeddings.shape[-2:]
        tokens, image = self.transformer(image_embeddings + dense, image_pe, tokens)
        # All four networks run whatever is asked for, so that each parameter has a gradient in every step (for DDP).
        mask_tokens = [tokens[:, 1 + number] for number in range(self.num_mask_tokens)]
        filters = [mlp(token) for mlp, token in zip(self.output_hypernetworks_mlps, mask_tokens, strict=True)]
        weights = torch.stack(filters, dim=1)[:, chosen]
        iou: Tensor = self.iou_prediction_head(tokens[:, 0])
        upscaled = self.output_upscaling(torch.unflatten(image.transpose(1, 2), 2, (h, w)))
        masks = weights @ upscaled.flatten(2)
        return torch.unflatten(masks, 2, upscaled.shape[-2:]), iou[:, chosen]

    def for_one_image(self, image_embedding: Tensor, image_pe: Tensor, dense: Tensor) -> SharedImageDecoder:
        """Return what decodes many prompts of one image, without gradients, in a fraction of the time.

        Args:
            image_embedding: (1, C, h, w).
            image_pe: its position encoding, (1, C, h, w).
            dense: dense embedding of all prompts, (1, C, h, w).
        """
        return SharedImageDecoder(self, image_embedding + dense, image_pe)

    @staticmethod
    def chosen_masks(num_multimask_outputs: int) -> slice:
        """Return which of the mask tokens are asked for.

        Raises:
            ValueError: another number than 1, 3 or 4.
        """
        if num_multimask_outputs not in _CHOSEN_MASKS:
            raise ValueError(f"num_multimask_outputs is 1, 3 or 4, not {num_multimask_outputs}")
        return _CHOSEN_MASKS[num_multimask_outputs]
