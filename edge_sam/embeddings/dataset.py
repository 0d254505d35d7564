"""Images and prompts joined with the teacher's embeddings."""

from copy import copy
from dataclasses import replace

import torch
from torch.utils.data import Dataset

from edge_sam.data.sa1b import Sa1bDataset, Sample
from edge_sam.embeddings.store import MISSING, VALID, EmbeddingStore
from edge_sam.errors import EdgeSamError


class WithTeacherEmbedding(Dataset[Sample]):
    """A data set whose samples carry ``teacher_embedding``, (256, s/16, s/16) float16; ``collate`` stacks them.

    Its images are those of ``dataset`` but for the ones that the store refused because they are broken.

    Args:
        dataset: images and prompts; not changed.
        store: a store of its split and image size.

    Attributes:
        ids: sorted image ids.

    Raises:
        EdgeSamError: the store is of another image size, or has no embedding of some of the images.
    """

    def __init__(self, dataset: Sa1bDataset, store: EmbeddingStore) -> None:
        remedy = "set DATA.IMG_SIZE to the store's, or DISTILL.TEACHER_EMBED_PATH to a store of this size"
        store.expect({"image_size": dataset.image_size}, remedy=remedy)
        known = dict(zip(store.ids, store.status.tolist(), strict=True))
        absent = [image_id for image_id in dataset.ids if known.get(image_id, MISSING) == MISSING]
        if absent:
            raise EdgeSamError(
                f"{store.path}: has no embedding of {len(absent)} of the {len(dataset.ids)} images "
                f"(e.g. {', '.join(absent[:3])}): run training/save_embedding.py on this data, "
                "with the same DATA.NUM_SAMPLES"
            )
        self.ids = tuple(image_id for image_id in dataset.ids if known[image_id] == VALID)
        if not self.ids:
            raise EdgeSamError(f"{store.path}: all of the {len(dataset.ids)} images were refused as broken")
        # A broken image is replaced by its neighbour in the list of ids, which must have an embedding too.
        self._dataset = copy(dataset)
        self._dataset.ids = self.ids
        self._store = store

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        sample = self._dataset[key]
        embedding = self._store.read([self._store.row_of(sample.image_id)])[0]
        return replace(sample, teacher_embedding=torch.from_numpy(embedding))
