from dataclasses import replace

import pytest
import torch

from edge_sam.distill.encoder_distillation import EncoderDistillation
from edge_sam.distill.losses import embedding_mse, valid_area
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.sam import normalize_images
from tests.distill.small_models import SmallEncoder


def test_loss_is_the_weighted_embedding_loss(batch):
    student = SmallEncoder().eval()
    losses = EncoderDistillation(student, weight=2.0)(batch, step=0)
    embedding = student(normalize_images(batch.images, batch.sizes))
    valid = valid_area(batch.sizes, (16, 16), 256)
    assert valid.sum().item() == 2 * 12 * 16
    expected = 2 * embedding_mse(embedding, batch.teacher_embedding.float(), valid)
    assert list(losses) == ["pixel_wise"]
    torch.testing.assert_close(losses["pixel_wise"], expected)


def test_padding_of_the_teacher_embedding_does_not_matter(batch):
    task = EncoderDistillation(SmallEncoder().eval())
    before = task(batch, 0)["pixel_wise"]
    batch.teacher_embedding[:, :, 12:] += 100
    assert task(batch, 0)["pixel_wise"] == before


def test_autocast_reaches_the_encoder_and_keeps_the_loss_in_float32(batch):
    task = EncoderDistillation(SmallEncoder().eval())
    exact = task(batch, 0)["pixel_wise"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = task(batch, 0)["pixel_wise"]
    assert loss.dtype == torch.float32
    assert loss != exact
    torch.testing.assert_close(loss, exact, rtol=1e-2, atol=0)


def test_data_without_embeddings_is_an_error(batch):
    with pytest.raises(EdgeSamError, match="no teacher embeddings"):
        EncoderDistillation(SmallEncoder())(replace(batch, teacher_embedding=None), 0)
