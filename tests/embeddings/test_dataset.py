import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.embeddings.dataset import WithTeacherEmbedding
from edge_sam.embeddings.images import TeacherImages
from edge_sam.embeddings.store import EmbeddingStore
from edge_sam.errors import EdgeSamError
from tests.embeddings.test_save import fill


@pytest.fixture
def store(tmp_path, images, teacher):
    return fill(tmp_path / "store", images, teacher)


def test_samples_carry_the_embedding_of_their_image(sa1b, store):
    dataset = WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256), store)
    assert len(dataset) == 8 and dataset.ids == store.valid_ids
    for index in range(8):
        sample = dataset[(3, index)]
        assert sample.image_id == dataset.ids[index] and sample.teacher_embedding.dtype == torch.float16
        row = store.ids.index(sample.image_id)
        np.testing.assert_array_equal(sample.teacher_embedding.numpy(), store.read([row])[0])


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_batches_come_from_spawned_workers(sa1b, store):
    dataset = WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256), store)
    expected = torch.stack([dataset[index].teacher_embedding for index in range(8)])
    loader = DataLoader(
        dataset, batch_size=4, num_workers=1, collate_fn=collate, multiprocessing_context="spawn", timeout=150
    )
    assert torch.equal(torch.cat([batch.teacher_embedding for batch in loader]), expected)


def test_the_neighbour_of_an_image_that_broke_later_has_its_own_embedding(sa1b, store):
    dataset = WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256), store)
    (sa1b / "images" / "train" / "sa_0_003.jpg").write_text("broken since")
    sample = dataset[3]
    assert sample.image_id == "sa_0_005"  # 4 was refused
    np.testing.assert_array_equal(sample.teacher_embedding.numpy(), store.read([5])[0])


def test_images_without_a_row_are_an_error(tmp_path, sa1b, teacher):
    few = TeacherImages(sa1b, "train", 256, num_samples=8)
    store = fill(tmp_path / "few", few, teacher)
    with pytest.raises(EdgeSamError, match=r"no embedding of 2 of the 10 images \(e\.g\. sa_0_008, sa_0_009\)"):
        WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256), store)
    assert len(WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256, num_samples=8), store)) == 6
    (store.path / "status" / "c.0").unlink()
    with pytest.raises(EdgeSamError, match="no embedding of 2 of the 8"):
        WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 256, num_samples=8), EmbeddingStore.open(store.path))


def test_another_image_size_is_an_error(sa1b, store):
    with pytest.raises(EdgeSamError, match=r"image_size 256, expected 512: set DATA\.IMG_SIZE to the store's"):
        WithTeacherEmbedding(Sa1bDataset(sa1b, "train", 512), store)
