"""Whether a store holds what its teacher says: some rows are computed again."""

from dataclasses import dataclass

import numpy as np

from edge_sam.distributed import World, gather_objects
from edge_sam.embeddings.images import TeacherImages
from edge_sam.embeddings.store import VALID, EmbeddingStore, StoreSpec
from edge_sam.embeddings.teacher import Teacher
from edge_sam.errors import EdgeSamError


@dataclass(frozen=True)
class StoreError:
    """How far stored embeddings are from recomputed ones.

    Attributes:
        images: rows that were compared.
        max_absolute: largest difference of two values.
        relative_rms: root mean square of the differences / that of the recomputed values.
        tolerance: largest relative_rms that rounding explains.
    """

    images: int
    max_absolute: float
    relative_rms: float
    tolerance: float


def tolerance_of(spec: StoreSpec) -> float:
    """Return the relative RMS error that rounding explains.

    float16 rounds to 3e-4, int8 to about 1e-2; other batches and TF32 convolutions add up to 1e-3 in float32, and
    bfloat16 about 1e-2. Another teacher or another preprocessing is off by far more.
    """
    return {"float16": 2e-3, "int8": 3e-2}[spec.dtype] + {"float32": 0.0, "bfloat16": 2e-2}[spec.precision]


def check_store(
    store: EmbeddingStore, images: TeacherImages, teacher: Teacher, world: World, *, batch_size: int, rows: int = 32
) -> StoreError:
    """Compute ``rows`` evenly spread rows again, shared among the processes, and compare.

    Raises:
        EdgeSamError: the store holds no embedding yet, or an image cannot be read any more.
    """
    valid = np.flatnonzero(store.status == VALID)
    if not len(valid):
        raise EdgeSamError(f"{store.path}: holds no embedding to check yet")
    chosen = valid[np.unique(np.linspace(0, len(valid) - 1, min(rows, len(valid))).round().astype(int))]
    difference = magnitude = largest = 0.0
    for batch in images.loader([chosen[world.rank :: world.size].tolist()], batch_size, 0, pin=False):
        if batch.reasons:
            row, reason = next(iter(batch.reasons.items()))
            raise EdgeSamError(f"{images.ids[row]}: has a stored embedding, but the image is broken now: {reason}")
        recomputed = teacher.embed(batch).cpu().numpy().astype(np.float64)
        error = store.read(batch.rows) - recomputed
        largest = max(largest, float(np.abs(error).max()))
        difference += float((error**2).sum())
        magnitude += float((recomputed**2).sum())
    sums = gather_objects((largest, difference, magnitude))
    relative = (sum(part[1] for part in sums) / sum(part[2] for part in sums)) ** 0.5
    return StoreError(len(chosen), max(part[0] for part in sums), relative, tolerance_of(store.spec))
