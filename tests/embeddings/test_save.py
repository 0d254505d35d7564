import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from edge_sam.distributed import World
from edge_sam.embeddings.check import check_store
from edge_sam.embeddings.save import claimed_store, fill_store, write_refused
from edge_sam.embeddings.store import EmbeddingStore
from edge_sam.embeddings.teacher import Teacher
from edge_sam.errors import EdgeSamError
from tests.embeddings.conftest import ALONE, SPEC, PatchMean
from tests.lock_holder import held_by_another_process


def fill(path, images, teacher, worlds=(ALONE,), batch_size=2, workers=0, spec=SPEC, **options):
    with claimed_store(path, spec, images.ids, batch_size):
        stores = [EmbeddingStore.open(path, writable=True) for _ in worlds]
        assert len({tuple(store.missing_shards()) for store in stores}) == 1
        for world, store in zip(worlds, stores, strict=True):
            fill_store(
                store, images, teacher, world,
                batch_size=batch_size, num_workers=workers, refused_file=path.with_name("refused.jsonl"), **options,
            )  # fmt: skip
    return EmbeddingStore.open(path)


def prepare(path, spec, ids, batch_size):
    with claimed_store(path, spec, ids, batch_size):
        pass


def listed_as_refused(file):
    return [json.loads(line)["image_id"] for line in file.read_text().splitlines()]


def two_processes():
    return [World(rank, 2, torch.device("cpu")) for rank in range(2)]


def test_rows_are_the_embeddings_of_their_images(tmp_path, images, teacher):
    store = fill(tmp_path / "store", images, teacher)
    assert store.refused_ids == ("sa_0_004", "sa_0_007") and store.missing_shards() == []
    for row in (0, 3, 9):
        alone = teacher.embed(images.collate([images[row]]))
        np.testing.assert_array_equal(store.read([row]), alone.half().numpy())


def test_padding_is_zero_after_normalising(tmp_path, images, teacher):
    store = fill(tmp_path / "store", images, teacher)
    assert (store.read([0])[..., 12:, :] == 0).all() and (store.read([0])[..., :12, :] != 0).any()


@pytest.mark.parametrize("workers", [0, 2])
def test_number_of_processes_and_workers_changes_nothing(tmp_path, images, teacher, workers):
    one = fill(tmp_path / "one", images, teacher)
    two = fill(tmp_path / "two", images, teacher, worlds=two_processes(), workers=workers)
    assert one.ids == two.ids
    for name in ("embedding", "status"):
        files = sorted(file.name for file in (one.path / name).iterdir())
        assert files == sorted(file.name for file in (two.path / name).iterdir())
        assert all((one.path / name / f).read_bytes() == (two.path / name / f).read_bytes() for f in files)


def test_only_missing_shards_are_embedded_again(tmp_path, images):
    seen = []

    class Counting(PatchMean):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    teacher = Teacher(Counting(), torch.device("cpu"), "float32")
    store = fill(tmp_path / "store", images, teacher)
    before = store.read([0, 9])
    assert sum(seen) == 8
    seen.clear()
    (store.path / "status" / "c.1").unlink()
    (store.path / "embedding" / "c.1.0.0.0.abc.partial").write_text("of a killed run")
    again = fill(tmp_path / "store", images, teacher, worlds=two_processes())
    assert seen == [2]
    assert not list(store.path.rglob("*.partial"))
    np.testing.assert_array_equal(again.read([0, 9]), before)
    seen.clear()
    fill(tmp_path / "store", images, teacher)
    assert seen == []


def test_a_store_of_something_else_is_left_alone(tmp_path, images, teacher):
    fill(tmp_path / "store", images, teacher)
    with pytest.raises(EdgeSamError, match="teacher_sha256"):
        prepare(tmp_path / "store", dataclasses.replace(SPEC, teacher_sha256="2" * 64), images.ids, 2)
    with pytest.raises(EdgeSamError, match="made for 10 images, expected 9"):
        prepare(tmp_path / "store", SPEC, images.ids[1:], 2)


def test_too_small_a_disk_is_found_before_anything_is_written(tmp_path, images, teacher, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(EdgeSamError, match=r"need 0\.00 GB, but .* has 0\.00 GB free.*TEACHER_EMBED_DTYPE int8"):
        prepare(tmp_path / "new" / "store", SPEC, images.ids, 2)
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    store = fill(tmp_path / "store", images, teacher)
    (store.path / "status" / "c.1").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=300_000))
    capsys.readouterr()
    prepare(tmp_path / "store", SPEC, images.ids, 2)  # two are missing, and these fit
    assert "disk: 2 embeddings to write" in capsys.readouterr().out


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_numbers_that_cannot_be_kept_name_the_image(tmp_path, images, value):
    class Broken(nn.Module):
        def forward(self, images):
            embeddings = torch.zeros(len(images), 256, 16, 16)
            embeddings[-1, 3, 2, 1] = value
            return embeddings

    with pytest.raises(EdgeSamError, match="sa_0_001: the teacher's embedding"):
        fill(tmp_path / "store", images, Teacher(Broken(), torch.device("cpu"), "float32"))
    assert not EmbeddingStore.open(tmp_path / "store").status.any()


def test_too_many_broken_images_stop_the_pass(tmp_path, images, teacher):
    with pytest.raises(EdgeSamError, match=r"2 of 10 images are broken, more than .* 0\.1 .*sa_0_007: image cannot"):
        fill(tmp_path / "store", images, teacher, max_bad_share=0.1)
    # those of earlier runs count too: one was stored before it stopped
    assert EmbeddingStore.open(tmp_path / "store").refused_ids == ("sa_0_004",)
    assert listed_as_refused(tmp_path / "refused.jsonl") == ["sa_0_004", "sa_0_007"], "what stopped it is listed too"
    with pytest.raises(EdgeSamError, match="2 of 10"):
        fill(tmp_path / "store", images, teacher, max_bad_share=0.1)
    fill(tmp_path / "store", images, teacher, max_bad_share=0.2)


def test_broken_images_of_all_processes_count(tmp_path, images, teacher):
    """Each of two processes meets one broken image of ten, which is what is allowed to both together."""
    with pytest.raises(EdgeSamError, match=r"2 of 10 images are broken.*: see .*refused\.jsonl \(e\.g\. sa_0_007"):
        fill(tmp_path / "store", images, teacher, worlds=two_processes(), max_bad_share=0.1)
    assert listed_as_refused(tmp_path / "refused.jsonl") == ["sa_0_004", "sa_0_007"]
    fill(tmp_path / "more", images, teacher, worlds=two_processes(), max_bad_share=0.2)


def test_another_pass_over_the_same_store_is_refused(tmp_path, images, teacher):
    store = fill(tmp_path / "store", images, teacher)
    (store.path / "status" / "c.1").unlink()
    unfinished = store.path / "embedding" / "c.1.0.0.0.abc.partial"
    unfinished.write_text("the other one's")
    with (
        held_by_another_process(tmp_path / "store.lock"),
        pytest.raises(EdgeSamError, match="store: another pass is filling it"),
    ):
        fill(tmp_path / "store", images, teacher)
    assert unfinished.exists()
    fill(tmp_path / "store", images, teacher)
    assert not unfinished.exists()


def test_refused_images_are_listed_with_reasons(tmp_path, images, teacher, sa1b):
    file = tmp_path / "refused.jsonl"
    store = fill(tmp_path / "store", images, teacher)
    file.write_text(file.read_text() * 2)  # as after a killed run that met the same images
    listed = write_refused(store, images, file)
    assert [entry["image_id"] for entry in listed] == ["sa_0_004", "sa_0_007"]
    assert "cannot be decoded" in listed[0]["reason"]
    assert [json.loads(line) for line in file.read_text().splitlines()] == listed
    shutil.copy(sa1b / "images" / "train" / "sa_0_000.jpg", sa1b / "images" / "train" / "sa_0_004.jpg")
    assert "can be read now" in write_refused(store, images, file)[0]["reason"]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_check_finds_rounding_within_tolerance(tmp_path, images, teacher, dtype):
    store = fill(tmp_path / "store", images, teacher, spec=dataclasses.replace(SPEC, dtype=dtype))
    error = check_store(store, images, teacher, ALONE, batch_size=3, rows=5)
    assert error.images == 5
    assert 0 < error.relative_rms < error.tolerance
    assert error.max_absolute < 0.05


def test_check_finds_another_teacher(tmp_path, images, teacher):
    store = fill(tmp_path / "store", images, teacher)
    encoder = PatchMean()
    encoder.gains.data *= 1.01
    error = check_store(store, images, Teacher(encoder, torch.device("cpu"), "float32"), ALONE, batch_size=4)
    assert error.images == 8 and error.relative_rms > error.tolerance


def test_check_needs_embeddings_and_images(tmp_path, images, teacher, sa1b):
    prepare(tmp_path / "store", SPEC, images.ids, 2)
    with pytest.raises(EdgeSamError, match="no embedding to check"):
        check_store(EmbeddingStore.open(tmp_path / "store"), images, teacher, ALONE, batch_size=2)
    store = fill(tmp_path / "store", images, teacher)
    (sa1b / "images" / "train" / "sa_0_000.jpg").write_text("")
    with pytest.raises(EdgeSamError, match="sa_0_000: has a stored embedding, but the image is broken now"):
        check_store(store, images, teacher, ALONE, batch_size=2)


def test_autocast_runs_the_encoder_in_bfloat16():
    seen = []

    class Convolution(nn.Conv2d):
        def forward(self, images):
            answer = super().forward(images)
            seen.append(answer.dtype)
            return answer

    batch = SimpleNamespace(images=torch.zeros(1, 3, 32, 32, dtype=torch.uint8), sizes=torch.tensor([[32, 32]]))
    for precision in ("float32", "bfloat16"):
        answer = Teacher(Convolution(3, 256, 16, 16), torch.device("cpu"), precision).embed(batch)
        assert answer.dtype == torch.float32
    assert seen == [torch.float32, torch.bfloat16]
