"""The teacher: a frozen image encoder on its device, from uint8 images to embeddings."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from edge_sam.embeddings.images import ImageBatch
from edge_sam.modeling.checkpoints import load_official, read_state, split_state
from edge_sam.modeling.sam import normalize_images


class Teacher:
    """A frozen image encoder.

    Args:
        encoder: normalised (B, 3, s, s) -> (B, 256, s/16, s/16).
        device: where it runs.
        precision: ``bfloat16`` runs it under autocast.
    """

    def __init__(self, encoder: nn.Module, device: torch.device, precision: Literal["float32", "bfloat16"]) -> None:
        self._encoder = encoder.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._device = device
        self.precision = precision

    @torch.inference_mode()
    def embed(self, batch: ImageBatch) -> Tensor:
        """Return the embeddings (m, 256, h, w) of a batch's valid rows, float32 on the device."""
        images = batch.images.to(self._device, non_blocking=True)
        normalized = normalize_images(images, batch.sizes).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            embeddings: Tensor = self._encoder(normalized)
        return embeddings.float()


def load_teacher_weights(encoder: nn.Module, path: str | Path) -> None:
    """Load an encoder out of a whole SAM-format checkpoint, or from a file of the encoder alone; strictly.

    Raises:
        EdgeSamError: the file is missing, broken, or of another model.
    """
    state = read_state(path)
    load_official(encoder, split_state(state)["image_encoder"] or state, str(path))
