import numpy as np
import torch

from edge_sam.embeddings.images import TeacherImages


def test_batches_stay_within_their_group_and_in_order(images):
    for workers in (0, 2):
        loader = images.loader([range(0, 5), range(8, 10)], batch_size=2, workers=workers, pin=False)
        assert [batch.rows.tolist() for batch in loader] == [[0, 1], [2, 3], [4], [8, 9]]


def test_images_are_resized_and_padded(images):
    batch = next(iter(images.loader([range(2)], 2, 0, pin=False)))
    assert batch.images.shape == (2, 3, 256, 256) and batch.images.dtype == torch.uint8
    assert batch.sizes.tolist() == [[192, 256]] * 2
    assert batch.images[:, :, 192:].eq(0).all() and batch.images[:, :, :192].float().std() > 10
    assert batch.valid.all() and not batch.reasons


def test_broken_images_leave_a_gap_with_a_reason(images):
    batch = images.collate([images[row] for row in (3, 4, 7, 8)])
    np.testing.assert_array_equal(batch.valid, [True, False, False, True])
    assert batch.images.shape[0] == batch.sizes.shape[0] == 2
    assert set(batch.reasons) == {4, 7} and all("cannot be decoded" in reason for reason in batch.reasons.values())
    nothing = images.collate([images[4]])
    assert nothing.images.shape == (0, 3, 256, 256) and nothing.sizes.shape == (0, 2)


def test_only_the_first_by_name(sa1b):
    assert TeacherImages(sa1b, "train", 256, num_samples=3).ids == ("sa_0_000", "sa_0_001", "sa_0_002")
