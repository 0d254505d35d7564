"""The pass that fills a store: every process embeds its share of the missing shards."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from edge_sam.distributed import World, gather_objects
from edge_sam.embeddings.images import ImageBatch, TeacherImages
from edge_sam.embeddings.store import REFUSED, EmbeddingStore, StoreSpec, choose_images_per_shard, required_bytes
from edge_sam.embeddings.teacher import Teacher
from edge_sam.errors import EdgeSamError
from edge_sam.progress import show_progress


def prepare_store(path: Path, spec: StoreSpec, ids: tuple[str, ...], batch_size: int) -> EmbeddingStore:
    """Create the store, or open the one that is there and insist that it is the same; check the disk first.

    One process does this, before the others look.

    Raises:
        EdgeSamError: the store at ``path`` is of another teacher, other images or settings; the disk is too small.
    """
    store = None
    to_embed = len(ids)
    if EmbeddingStore.exists(path):
        store = EmbeddingStore.open(path, writable=True)
        store.expect(spec, ids)
        to_embed = sum(len(store.shard_rows(shard)) for shard in store.missing_shards())
        for unfinished in path.glob("*/*.partial"):  # what a killed run was writing
            unfinished.unlink(missing_ok=True)
    check_disk(path, to_embed, spec)
    return store or EmbeddingStore.create(path, spec, ids, choose_images_per_shard(len(ids), batch_size))


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
    pin_memory: bool = False,
    max_bad_share: float = 1.0,
) -> int:
    """Embed this process's share of the missing shards.

    Which process takes which shard has no influence on what is stored; neither has the number of processes.

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
    bad = _BadImages(store, max_bad_share)
    batches = iter(images.loader(rows_of_mine, batch_size, num_workers, pin_memory))
    # The first process speaks for all: they have equal shares.
    speed_up = total / max(sum(map(len, rows_of_mine)), 1)
    with show_progress("embed", total, shown=world.is_main and total > 0) as advance:
        for shard, rows in zip(mine, rows_of_mine, strict=True):
            embeddings = np.zeros((len(rows), *store.spec.embedding_shape), np.float16)
            valid = np.zeros(len(rows), bool)
            done = 0
            while done < len(rows):
                batch = next(batches)
                here = slice(done, done + len(batch.rows))
                valid[here] = batch.valid
                if batch.valid.any():
                    embeddings[here][batch.valid] = teacher.embed(batch).to(torch.float16).cpu().numpy()
                bad.count(batch)
                done = here.stop
                advance(len(batch.rows) * speed_up)
            store.write_shard(shard, embeddings, valid)
    gather_objects(None)  # all have written
    return total


class _BadImages:
    """Counts the broken images and stops the pass when they are too many."""

    def __init__(self, store: EmbeddingStore, max_share: float) -> None:
        self._ids = store.ids
        self._max_share = max_share
        self._count = int((store.status == REFUSED).sum())

    def count(self, batch: ImageBatch) -> None:
        self._count += len(batch.reasons)
        if batch.reasons:
            row, reason = next(iter(batch.reasons.items()))
            check_bad_share(self._count, len(self._ids), self._max_share, f"{self._ids[row]}: {reason}")


def check_bad_share(bad: int, images: int, max_share: float, example: str) -> None:
    """Raise an EdgeSamError when more than ``max_share`` of the images are broken."""
    if bad > max_share * images:
        raise EdgeSamError(
            f"{bad} of {images} images are broken, more than DATA.MAX_BAD_SHARE {max_share} allows (e.g. {example})"
        )


def write_refused(store: EmbeddingStore, images: TeacherImages) -> list[dict[str, str]]:
    """List the refused images with reasons in ``refused.jsonl`` inside the store, and return the list.

    The reasons are found by reading these images once more, so that images which an earlier, killed run refused are
    in it too.
    """
    refused = []
    for image_id in store.refused_ids:
        reason = images[store.row_of(image_id)].reason or "was broken when the store was filled, and can be read now"
        refused.append({"image_id": image_id, "reason": reason})
    listing = store.path / "refused.jsonl"
    unfinished = listing.with_suffix(".creating")
    unfinished.write_text("".join(json.dumps(entry) + "\n" for entry in refused))
    unfinished.replace(listing)
    return refused
