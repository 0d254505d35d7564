import dataclasses
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr.storage._local
from torch.utils.data import DataLoader, Dataset

from edge_sam.embeddings.store import EmbeddingStore, StoreSpec, choose_images_per_shard, required_bytes
from edge_sam.errors import EdgeSamError

SPEC = StoreSpec(
    teacher_type="rep_vit_m1", teacher_sha256="0" * 64, fuse=True, upsample_mode="bilinear", image_size=64,
    preprocessing="as always", precision="float32", dtype="float16",
)  # fmt: skip
IDS = [f"sa_{number:03d}" for number in range(10)]


def embeddings_of(rows, shape=SPEC.embedding_shape):
    return np.stack([np.random.default_rng(row).standard_normal(shape).astype(np.float32) for row in rows])


def fill(store, shards=None, refused=()):
    for shard in store.missing_shards() if shards is None else shards:
        rows = store.shard_rows(shard)
        store.write_shard(shard, embeddings_of(rows), np.array([row not in refused for row in rows]))


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore.create(tmp_path / "train", SPEC, IDS, images_per_shard=4)


def test_reads_back_what_was_written(store):
    assert store.missing_shards() == [0, 1, 2]
    fill(store, [2, 0])
    reopened = EmbeddingStore.open(store.path)
    assert reopened.missing_shards() == [1]
    assert (reopened.ids, reopened.spec, len(reopened), reopened.images_per_shard) == (tuple(IDS), SPEC, 10, 4)
    assert reopened.read([9, 0]).dtype == np.float16
    np.testing.assert_array_equal(reopened.read([9, 0]), embeddings_of([9, 0]).astype(np.float16))
    assert reopened.row_of("sa_007") == 7


def test_int8_keeps_a_scale_for_every_channel(tmp_path):
    store = EmbeddingStore.create(tmp_path / "s", dataclasses.replace(SPEC, dtype="int8"), IDS, 4)
    fill(store)
    restored = EmbeddingStore.open(store.path).read(range(10)).astype(np.float32)
    original = embeddings_of(range(10))
    step = np.abs(original).max(axis=(2, 3), keepdims=True) / 127
    assert (np.abs(restored - original) <= 0.6 * step).all()


def test_refused_rows_are_known_and_not_readable(store):
    fill(store, refused={3, 8})
    reopened = EmbeddingStore.open(store.path)
    assert reopened.refused_ids == ("sa_003", "sa_008")
    assert len(reopened.valid_ids) == 8
    assert reopened.missing_shards() == []
    with pytest.raises(EdgeSamError, match="sa_003 was refused"):
        reopened.read([3])


def test_a_shard_of_refused_images_alone_is_not_missing(store):
    fill(store, refused=set(range(4)))
    assert EmbeddingStore.open(store.path).missing_shards() == []


def test_missing_rows_are_not_readable(store):
    fill(store, [0])
    with pytest.raises(EdgeSamError, match="sa_005 is not computed yet"):
        store.read([5])
    with pytest.raises(EdgeSamError, match="no embedding of sa_999"):
        store.row_of("sa_999")


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float16"), (1e6, "float16"), (-1e6, "int8"), (np.inf, "int8")])
def test_values_that_float16_cannot_hold_name_the_image(tmp_path, value, dtype):
    store = EmbeddingStore.create(tmp_path / "s", dataclasses.replace(SPEC, dtype=dtype), IDS, 4)
    embeddings = embeddings_of(range(4, 8))
    embeddings[2, 7, 1, 1] = value
    with pytest.raises(EdgeSamError, match="sa_006"):
        store.write_shard(1, embeddings, np.ones(4, bool))
    assert EmbeddingStore.open(store.path).missing_shards() == [0, 1, 2]
    store.write_shard(
        1, embeddings, np.array([True, True, False, True])
    )  # what a refused row holds is nobody's concern


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(StoreSpec)])
def test_another_expectation_names_field_and_both_values(store, field):
    found = getattr(SPEC, field)
    store.expect(SPEC)
    store.expect({field: found})
    other = dataclasses.replace(SPEC, **{field: "another"})
    for expected in (other, {field: "another"}):
        with pytest.raises(EdgeSamError, match=f"{field} {found!r}, expected 'another'.*TEACHER_EMBED_PATH"):
            store.expect(expected)


def test_the_caller_says_what_to_do_and_nobody_says_delete(store):
    with pytest.raises(EdgeSamError, match=r"expected 128: set DATA\.IMG_SIZE to 64$"):
        store.expect({"image_size": 128}, remedy="set DATA.IMG_SIZE to 64")
    for expected, ids in (({"image_size": 128}, None), (SPEC, IDS[1:])):
        with pytest.raises(EdgeSamError, match="made with, or choose another") as refused:
            store.expect(expected, ids)
        assert "delete" not in str(refused.value)


def test_other_images_are_refused_with_counts(store):
    store.expect(SPEC, IDS)
    with pytest.raises(EdgeSamError, match=r"for 10 images, expected 9; 2 of its images are not .* and 1 of the data"):
        store.expect(SPEC, [*IDS[2:], "sa_100"])


def test_no_store_half_a_store_and_another_format(tmp_path, store):
    with pytest.raises(EdgeSamError, match=r"no store of teacher embeddings; training/save_embedding\.py makes one"):
        EmbeddingStore.open(tmp_path / "nowhere")
    with pytest.raises(EdgeSamError, match="exists and is not a new store"):
        EmbeddingStore.create(store.path, SPEC, IDS, 4)
    metadata = store.path / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(EdgeSamError, match="version 99, expected"):
        EmbeddingStore.open(store.path)
    for content in ("{", "", "[]"):
        metadata.write_text(content)
        with pytest.raises(EdgeSamError, match="no store of teacher embeddings"):
            EmbeddingStore.open(store.path)


@pytest.mark.parametrize("part", ["ids", "embedding", "status"])
def test_a_store_without_one_of_its_arrays(store, part):
    shutil.rmtree(store.path / part)
    with pytest.raises(EdgeSamError, match=f"damaged, it lacks .*{part}.*: delete the store and make it again"):
        EmbeddingStore.open(store.path)


def test_a_store_without_one_of_its_attributes(store):
    metadata = store.path / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"teacher_type"', '"teacher"'))
    with pytest.raises(EdgeSamError, match="damaged, it lacks 'teacher_type'"):
        EmbeddingStore.open(store.path)


def test_a_creation_that_was_killed_leaves_nothing_in_the_way(tmp_path):
    unfinished = tmp_path / "train.creating"
    unfinished.mkdir()
    (unfinished / "zarr.json").write_text("half")
    assert not EmbeddingStore.exists(tmp_path / "train")
    EmbeddingStore.create(tmp_path / "train", SPEC, IDS, 4)
    assert EmbeddingStore.exists(tmp_path / "train") and not unfinished.exists()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("damage", ["delete", "truncate", "empty", "flip"])
def test_damage_is_noticed_and_can_be_mended(tmp_path, dtype, damage):
    store = EmbeddingStore.create(tmp_path / "s", dataclasses.replace(SPEC, dtype=dtype), IDS, 4)
    fill(store)
    file = store.path / "embedding" / "c.1.0.0.0"
    content = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    elif damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        content[1000] ^= 1
        file.write_bytes(content)
    damaged = EmbeddingStore.open(store.path, writable=True)
    damaged.read([0, 9])
    with pytest.raises(EdgeSamError, match=r"sa_004 is (lost|damaged): delete .*/status/c.1 and run"):
        damaged.read([4])
    (store.path / "status" / "c.1").unlink()
    mended = EmbeddingStore.open(store.path, writable=True)
    assert mended.missing_shards() == [1]
    fill(mended)
    np.testing.assert_array_equal(mended.read(range(10)), store.read(range(10)))


@pytest.mark.parametrize("ids", [[], ["b", "a"], ["a", "a"], ["a\nb"]])
def test_ids_must_be_a_sorted_manifest(tmp_path, ids):
    with pytest.raises(ValueError, match="sorted"):
        EmbeddingStore.create(tmp_path / "s", SPEC, ids, 4)


def test_shards_suit_the_size_of_the_set():
    assert choose_images_per_shard(110_000, batch_size=8) == 64
    assert choose_images_per_shard(566, batch_size=8) == 16
    assert choose_images_per_shard(60, batch_size=8) == 8
    assert choose_images_per_shard(60, batch_size=1) == 1
    assert choose_images_per_shard(110_000, batch_size=48) == 96


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_required_bytes_is_what_the_disk_sees(tmp_path, dtype):
    spec = dataclasses.replace(SPEC, image_size=256, dtype=dtype)
    store = EmbeddingStore.create(tmp_path / "s", spec, IDS, 4)
    for shard in store.missing_shards():
        rows = store.shard_rows(shard)
        store.write_shard(shard, embeddings_of(rows, spec.embedding_shape), np.ones(len(rows), bool))
    used = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
    assert required_bytes(10, 256, dtype) == pytest.approx(used, rel=0.02)


class Rows(Dataset):
    def __init__(self, store):
        self.store = store

    def __len__(self):
        return len(self.store)

    def __getitem__(self, row):
        return torch.from_numpy(self.store.read([row])[0]), os.getpid()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_after_the_parent_has_read(store, context):
    fill(store)
    store.read([0])  # Zarr's I/O thread now runs in this process
    loader = DataLoader(Rows(store), batch_size=2, num_workers=2, multiprocessing_context=context, timeout=60)
    batches = list(loader)
    np.testing.assert_array_equal(torch.cat([values for values, _ in batches]).numpy(), store.read(range(10)))
    assert {int(process) for _, processes in batches for process in processes}.isdisjoint({os.getpid()})


def fill_and_die(path, fatal_write):
    """Fill a store and be killed in the middle of writing a file, half of which is on the disk by then."""
    put, writes = zarr.storage._local._put, iter(range(1000))

    def put_or_die(file, value, exclusive=False):
        if next(writes) == fatal_write:
            half = bytes(value.as_buffer_like())[: len(value) // 2]
            file.with_suffix(".0123.partial").write_bytes(half)
            os.kill(os.getpid(), signal.SIGKILL)
        return put(file, value, exclusive)

    zarr.storage._local._put = put_or_die
    fill(EmbeddingStore.open(path, writable=True))


def contents(path: Path):
    files = (file for file in path.rglob("*") if file.is_file() and file.suffix != ".partial")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@pytest.mark.parametrize(("dtype", "writes"), [("float16", 6), ("int8", 9)])
def test_killed_at_any_moment_it_goes_on_with_other_processes(tmp_path, dtype, writes):
    spec = dataclasses.replace(SPEC, dtype=dtype)
    uninterrupted = EmbeddingStore.create(tmp_path / "whole", spec, IDS, 4)
    fill(uninterrupted)
    for fatal_write in range(writes):
        path = EmbeddingStore.create(tmp_path / f"killed{fatal_write}", spec, IDS, 4).path
        process = multiprocessing.get_context("fork").Process(target=fill_and_die, args=(path, fatal_write))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        first, second = (EmbeddingStore.open(path, writable=True) for _ in range(2))
        missing = first.missing_shards()
        assert missing == second.missing_shards() == list(range(3))[fatal_write // (writes // 3) :]
        there = np.flatnonzero(first.status)
        if len(there):
            np.testing.assert_array_equal(first.read(there), uninterrupted.read(there))
        fill(second, missing[1::2])
        fill(first, missing[0::2])
        assert contents(path) == contents(uninterrupted.path)
