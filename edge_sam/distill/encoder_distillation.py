"""Phase 1: the student's image embedding becomes the teacher's (paper, section 3.2).

Prompts and decoder take no part.
"""

import torch.distributed as dist
from torch import Tensor, nn

from edge_sam.data.sa1b import Batch
from edge_sam.distill.losses import embedding_mse, reciprocal_area, valid_area
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.sam import normalize_images


class EncoderDistillation(nn.Module):
    """A student image encoder before stored teacher embeddings.

    Args:
        student: image encoder, (B, 3, s, s) -> (B, 256, s/16, s/16).
        weight: of the loss (DISTILL.PIXEL_WISE).
    """

    skips_parameters = False

    def __init__(self, student: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.student = student
        self.weight = weight

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return ``{"pixel_wise": weighted loss}`` of a batch with teacher embeddings; ``step`` decides nothing."""
        embedding = self.student(normalize_images(batch.images, batch.sizes))
        return {"pixel_wise": self.weight * embedding_loss(embedding, batch)}


def embedding_loss(embedding: Tensor, batch: Batch) -> Tensor:
    """Squared distance of a student embedding (B, C, h, w) to the batch's teacher embeddings, over the unpadded area.

    Its mean over processes is the loss of the joint batch, also where images differ in shape.
    """
    teacher = teacher_embedding(batch)
    valid = valid_area(batch.sizes, (teacher.shape[2], teacher.shape[3]), batch.images.shape[-1])
    return embedding_mse(embedding, teacher, valid, _mean_over_processes(reciprocal_area(valid)))


def teacher_embedding(batch: Batch) -> Tensor:
    """Return the stored embeddings (B, C, h, w), float32.

    Raises:
        EdgeSamError: the data was read without a store.
    """
    if batch.teacher_embedding is None:
        raise EdgeSamError("the batch holds no teacher embeddings: the data set must be read with an embedding store")
    return batch.teacher_embedding.float()


def _mean_over_processes(value: Tensor) -> Tensor:
    if dist.is_initialized():
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value
