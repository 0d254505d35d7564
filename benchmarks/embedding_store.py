"""Writing and reading teacher embeddings of 1024 px images."""

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.measurement import Measurement, median_seconds
from edge_sam.embeddings.store import EmbeddingStore, StoreSpec

IMAGES = 64
Dtype = Literal["float16", "int8"]
DTYPES: tuple[Dtype, ...] = ("float16", "int8")


def measure() -> list[Measurement]:
    """Measure the store against one ``.npy`` file an image, the layout that is often seen."""
    embeddings = np.random.default_rng(0).standard_normal((IMAGES, 256, 64, 64)).astype(np.float16)
    found = []
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory() as folder:
            found += _measure_store(Path(folder), embeddings, dtype)
    return found


def _measure_store(folder: Path, embeddings: np.ndarray, dtype: Dtype) -> list[Measurement]:
    ids = [f"sa_{number:03d}" for number in range(IMAGES)]
    spec = StoreSpec("vit_h", "0" * 64, None, None, 1024, "benchmark", "float32", dtype)
    stores = iter(EmbeddingStore.create(folder / str(number), spec, ids, IMAGES) for number in range(4))
    valid = np.ones(IMAGES, bool)
    writing = median_seconds(lambda: next(stores).write_shard(0, embeddings, valid), repeats=3)
    files = [folder / f"{image_id}.npy" for image_id in ids]
    writing_files = median_seconds(lambda: _save_each(files, embeddings), repeats=3)
    store = EmbeddingStore.open(folder / "0")
    order = np.random.default_rng(1).permutation(IMAGES)
    reading = median_seconds(lambda: [store.read([int(row)]) for row in order], repeats=3)
    reading_files = median_seconds(lambda: [np.load(files[row]) for row in order], repeats=3)
    scale = 1000 / IMAGES
    baseline = "one .npy file an image"
    return [
        Measurement(f"write an embedding, {dtype}", writing * scale, "ms/image", baseline, writing_files * scale),
        Measurement(f"read an embedding, {dtype}", reading * scale, "ms/image", baseline, reading_files * scale),
    ]


def _save_each(files: list[Path], embeddings: np.ndarray) -> None:
    for file, embedding in zip(files, embeddings, strict=True):
        np.save(file, embedding)
