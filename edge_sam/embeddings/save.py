"""The pass that fills a store: every process embeds its share of the missing shards."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edge_sam.atomic_writing import write_atomically
from edge_sam.distributed import World, gather_objects
from edge_sam.embeddings.images import ImageBatch, TeacherImages
from edge_sam.embeddings.store import EmbeddingStore, StoreSpec, choose_images_per_shard, required_bytes
from edge_sam.embeddings.teacher import Teacher
from edge_sam.errors import EdgeSamError
from edge_sam.exclusive_lock import exclusive_lock
from edge_sam.progress import show_progress


@contextmanager
def claimed_store(path: Path, spec: StoreSpec, ids: tuple[str, ...], batch_size: int) -> Iterator[None]:
    """Create the store, or insist that the one that is there is the same; keep other passes out while the body runs.

    One process does this, before the others look; they fill the store while it holds the claim. The disk is checked
    before anything is written.

    Raises:
        EdgeSamError: the store at ``path`` is of another teacher, other images or settings; the disk is too small;
            another pass is at work on it.
    """
    check_disk(path, _images_to_embed(path, spec, ids), spec)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSamError(f"{path.parent}: cannot be made ({error.strerror})") from error
    with exclusive_lock(path.with_name(f"{path.name}.lock"), f"{path}: another pass is filling it; wait for its end"):
        if EmbeddingStore.exists(path):
            EmbeddingStore.open(path).expect(spec, ids)  # another pass may have made it since it was looked at
            for unfinished in path.glob("*/*.partial"):  # what a killed run was writing
                unfinished.unlink(missing_ok=True)
        else:
            EmbeddingStore.create(path, spec, ids, choose_images_per_shard(len(ids), batch_size))
        yield


def _images_to_embed(path: Path, spec: StoreSpec, ids: tuple[str, ...]) -> int:
    if not EmbeddingStore.exists(path):
        return len(ids)
    store = EmbeddingStore.open(path)
    store.expect(spec, ids)
    return sum(len(store.shard_rows(shard)) for shard in store.missing_shards())


def check_disk(path: Path, images: int, spec: StoreSpec) -> None:
    """Print what ``images`` more embeddings need, and insist that the disk has it.

    Raises:
        EdgeSamError: it has not.
    """
    needed = required_bytes(images, spec.image_size, spec.dtype)
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    print(f"disk: {images} embeddings to write need {_gigabytes(needed)}, {folder} has {_gigabytes(free)} free")
    if needed > free:
        small = _gigabytes(required_bytes(images, spec.image_size, "int8"))
        hint = f", or DISTILL.TEACHER_EMBED_DTYPE int8 ({small})" if spec.dtype != "int8" else ""
        raise EdgeSamError(
            f"{path}: {images} embeddings need {_gigabytes(needed)}, but {folder} has {_gigabytes(free)} free: "
            f"make room, choose another DISTILL.TEACHER_EMBED_PATH{hint}"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def fill_store(
    store: EmbeddingStore,
    images: TeacherImages,
    teacher: Teacher,
    world: World,
    *,
    batch_size: int,
    num_workers: int,
    refused_file: Path,
    pin_memory: bool = False,
    max_bad_share: float = 1.0,
) -> int:
    """Embed this process's share of the missing shards.

    Which process takes which shard has no influence on what is stored; neither has the number of processes. Broken
    images are added to ``refused_file`` as they are met; :func:`write_refused` orders that list in the end.

    Returns:
        Number of images that all processes went through.

    Raises:
        EdgeSamError: more than ``max_bad_share`` of the images are broken; the teacher answers no usable numbers. Only
            this process may know: it must end, and the launcher ends the others.
    """
    # One process's list for all: another's would lack what the first ones have written by then.
    missing = gather_objects(store.missing_shards())[0]
    mine = missing[world.rank :: world.size]
    rows_of_mine = [store.shard_rows(shard) for shard in mine]
    total = sum(len(store.shard_rows(shard)) for shard in missing)
    bad = _BadImages(store, max_bad_share, refused_file)
    batches = iter(images.loader(rows_of_mine, batch_size, num_workers, pin_memory))
    # The first process speaks for all: they have equal shares.
    speed_up = total / max(sum(map(len, rows_of_mine)), 1)
    with show_progress("embed", total, shown=world.is_main and total > 0) as advance:
        for shard in mine:
            embeddings, valid = _embed_shard(store, shard, batches, teacher, bad, lambda done: advance(done * speed_up))
            store.write_shard(shard, embeddings, valid)
            bad.shard_is_written()
    gather_objects(None)  # all have written
    return total


def _embed_shard(
    store: EmbeddingStore,
    shard: int,
    batches: Iterator[ImageBatch],
    teacher: Teacher,
    bad: "_BadImages",
    advance: Callable[[int], None],
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    """Return the embeddings of a shard's rows, and which of them are valid."""
    rows = store.shard_rows(shard)
    embeddings = np.zeros((len(rows), *store.spec.embedding_shape), np.float16)
    valid = np.zeros(len(rows), bool)
    done = 0
    while done < len(rows):
        batch = next(batches)
        here = slice(done, done + len(batch.rows))
        valid[here] = batch.valid
        if batch.valid.any():
            embeddings[here][batch.valid] = teacher.embed(batch).to(torch.float16).cpu().numpy()
        bad.add(batch)
        done = here.stop
        advance(len(batch.rows))
    return embeddings, valid


class _BadImages:
    """Lists the broken images, counts those of all processes and stops the pass when they are too many."""

    def __init__(self, store: EmbeddingStore, max_share: float, file: Path) -> None:
        self._store = store
        self._max_share = max_share
        self._file = file
        self._stored = store.count_refused()
        self._in_shard = 0
        self._example = ""

    def add(self, batch: ImageBatch) -> None:
        """Take note of a batch's broken images."""
        if batch.reasons:
            entries = [_entry(self._store.ids[row], reason) for row, reason in batch.reasons.items()]
            with self._file.open("a") as file:  # appended in one piece: other processes do the same
                file.write("".join(entries))
            row, reason = next(iter(batch.reasons.items()))
            self._example = f"{self._store.ids[row]}: {reason}"
            self._in_shard += len(batch.reasons)
            self._check()

    def shard_is_written(self) -> None:
        """Learn from the store what other processes met; one that met nothing itself leaves that to those that did."""
        if self._in_shard:
            self._in_shard = 0
            self._stored = self._store.count_refused()
            self._check()

    def _check(self) -> None:
        check_bad_share(self._stored + self._in_shard, len(self._store), self._max_share, self._file, self._example)


def check_bad_share(bad: int, images: int, max_share: float, file: Path, example: str) -> None:
    """Raise an EdgeSamError when more than ``max_share`` of the images are broken."""
    if bad > max_share * images:
        raise EdgeSamError(
            f"{bad} of {images} images are broken, more than DATA.MAX_BAD_SHARE {max_share} allows: see {file} "
            f"(e.g. {example})"
        )


def write_refused(store: EmbeddingStore, images: TeacherImages, file: Path) -> list[dict[str, str]]:
    """List the refused images of a store with reasons, one JSON object a line, each once, and return the list.

    The reasons are found by reading these images once more, so that images which an earlier run refused are in it too.
    """
    refused = []
    for image_id in store.refused_ids:
        reason = images[store.row_of(image_id)].reason or "was broken when the store was filled, and can be read now"
        refused.append({"image_id": image_id, "reason": reason})
    write_atomically(file, "".join(_entry(**entry) for entry in refused))
    return refused


def _entry(image_id: str, reason: str) -> str:
    return json.dumps({"image_id": image_id, "reason": reason}) + "\n"
