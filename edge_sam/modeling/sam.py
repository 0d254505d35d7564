"""The whole model: image encoder, prompt encoder, mask decoder, and the way in and out of pixels."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.image_decoder import ImageDecoder
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.runtime.masks import MASK_THRESHOLD as MASK_THRESHOLD  # defined where nothing imports PyTorch

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def normalize_images(images: Tensor, sizes: Tensor) -> Tensor:
    """Normalise padded images and set the padding to zero (SAM pads after normalising).

    Args:
        images: uint8 RGB (B, 3, s, s), padded at the right and at the bottom.
        sizes: long (B, 2), height and width of each picture inside its padded square.

    Returns:
        float32 (B, 3, s, s).
    """
    mean = torch.tensor(PIXEL_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(PIXEL_STD, device=images.device)[:, None, None]
    height, width = images.shape[-2:]
    sizes = sizes.to(images.device)
    inside_rows = torch.arange(height, device=images.device) < sizes[:, :1]
    inside_columns = torch.arange(width, device=images.device) < sizes[:, 1:]
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return ((images - mean) / std).masked_fill(~inside, 0.0)


class Sam(nn.Module):
    """A promptable segmentation model (Segment Anything, section 3).

    Args:
        image_encoder: (B, 3, s, s) -> (B, 256, s/16, s/16), with the attribute ``image_size`` = s.
        prompt_encoder: for the same image size.
        mask_decoder: decodes both.
    """

    def __init__(self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.image_size = prompt_encoder.input_image_size[0]

    def preprocess(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Return what the image encoder takes; see :func:`normalize_images`."""
        return normalize_images(images, sizes)

    def decoder_for(self, embedding: Tensor) -> ImageDecoder:
        """Return what decodes prompts of the image with this embedding, (1, 256, s/16, s/16)."""
        return ImageDecoder(self, embedding)

    def postprocess_masks(self, masks: Tensor, size: tuple[int, int], original_size: tuple[int, int]) -> Tensor:
        """Bring low-resolution logits to the size of the image file, the way SAM does.

        Args:
            masks: (N, K, 4h, 4w).
            size: (height, width) of the resized image before padding.
            original_size: (H, W) of the image file.

        Returns:
            logits (N, K, H, W).
        """
        square = (self.image_size, self.image_size)
        masks = F.interpolate(masks, square, mode="bilinear", align_corners=False)
        return F.interpolate(masks[..., : size[0], : size[1]], original_size, mode="bilinear", align_corners=False)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, the form that the Hugging Face hub knows.

        Args:
            folder: made when it is not there; an earlier model in it is replaced.

        Raises:
            EdgeSamError: it cannot be written, or the model is not one of this package's as it was trained.
        """
        from edge_sam.modeling.pretrained import save_pretrained  # which knows how a Sam is built

        save_pretrained(self, folder)

    @staticmethod
    def from_pretrained(name: str | Path, revision: str | None = None) -> "Sam":
        """Load what :meth:`save_pretrained` wrote.

        Args:
            name: a folder, which needs no network; else the name of a repository on the Hugging Face hub.
            revision: branch, tag or commit of the repository.

        Returns:
            The model, in eval mode.

        Raises:
            EdgeSamError: neither folder nor repository, or files in it that are missing, broken or contradict.
        """
        from edge_sam.modeling.pretrained import load_pretrained  # which knows how a Sam is built

        return load_pretrained(name, revision)
