import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from edge_sam.config import load_config
from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.embeddings.dataset import WithTeacherEmbedding
from edge_sam.embeddings.run import main
from edge_sam.embeddings.store import EmbeddingStore
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.official_files import OFFICIAL_FILES
from edge_sam.modeling.registry import build_image_encoder, build_sam
from tests.lock_holder import held_by_another_process
from tests.synthetic import write_sa1b

ROOT = Path(__file__).parents[2]
TEACHER_CONFIGS = sorted((ROOT / "training" / "configs" / "teacher").glob("*.yaml"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "teacher.pth"
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), path)
    return path


@pytest.fixture
def folder(tmp_path):
    write_sa1b(tmp_path / "SA-1B", "train", 5)
    return tmp_path


def command(folder, weights, *more, opts=()):
    """The guide's line, for EdgeSAM as teacher, at a small size."""
    return [
        "--cfg", str(ROOT / "training/configs/teacher/edge_sam_sa1b.yaml"), "--batch-size", "2", "--eval",
        "--resume", str(weights), "--data-path", str(folder / "SA-1B"), "--output", str(folder / "output"),
        "--only-cpu", *more, "--opts", "DATA.IMG_SIZE", "256", "DATA.NUM_WORKERS", "0",
        "DISTILL.TEACHER_EMBED_PATH", str(folder / "embed"), *opts,
    ]  # fmt: skip


def test_stores_says_so_and_checks(folder, weights, capsys):
    main(command(folder, weights))
    said = capsys.readouterr().out
    assert "teacher: rep_vit_m1" in said and "float32 on 1 x cpu" in said
    assert "disk: 5 embeddings" in said and "embed: 5/5" in said and "done: 5 embeddings, 5 now" in said
    store = EmbeddingStore.open(folder / "embed" / "train")
    assert store.ids == tuple(f"sa_0_00{number}" for number in range(5)) == store.valid_ids
    assert (store.spec.teacher_type, store.spec.fuse, store.spec.upsample_mode) == ("rep_vit_m1", True, "bicubic")
    run_folder = folder / "output" / "edge_sam_sa1b" / "default"
    assert json.loads((run_folder / "embedding.json").read_text())["embedded_now"] == 5
    assert yaml.safe_load((run_folder / "config.yaml").read_text())["DATA"]["IMG_SIZE"] == 256

    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    main(command(folder, weights, "--check-saved-embed"))
    assert "check: 5 of 5 embeddings computed again" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before

    main(command(folder, weights))
    assert "disk: 0 embeddings" in capsys.readouterr().out


def fails(capsys, arguments):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


def test_a_store_that_was_tampered_with_fails_the_check(folder, weights, capsys):
    main(command(folder, weights, opts=["DISTILL.TEACHER_EMBED_DTYPE", "int8"]))
    options = ["DISTILL.TEACHER_EMBED_DTYPE", "int8"]
    main(command(folder, weights, "--check-saved-embed", opts=options))
    store = EmbeddingStore.open(folder / "embed" / "train", writable=True)
    store.write_shard(0, store.read(store.shard_rows(0)) * np.float16(1.2), np.ones(2, bool))
    assert "relative RMS error" in fails(capsys, command(folder, weights, "--check-saved-embed", opts=options))


@pytest.mark.parametrize(
    ("opts", "field"),
    [
        (["DISTILL.UPSAMPLE_MODE", "bilinear"], "upsample_mode 'bicubic', expected 'bilinear'"),
        (["DATA.IMG_SIZE", "320"], "image_size 256, expected 320"),
        (["DISTILL.TEACHER_EMBED_DTYPE", "int8"], "dtype 'float16', expected 'int8'"),
        (["AMP_ENABLE", "true"], "precision 'float32', expected 'bfloat16'"),
        (["DATA.NUM_SAMPLES", "3"], "made for 5 images, expected 3"),
    ],
)
def test_stores_are_not_mixed(folder, weights, capsys, opts, field):
    main(command(folder, weights))
    message = fails(capsys, command(folder, weights, opts=opts))
    assert field in message and "DISTILL.TEACHER_EMBED_PATH" in message
    assert field in fails(capsys, command(folder, weights, "--check-saved-embed", opts=opts))


def test_another_teacher_file_is_another_teacher(folder, weights, capsys, tmp_path):
    main(command(folder, weights))
    torch.manual_seed(1)
    other = tmp_path / "other.pth"
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), other)
    assert "teacher_sha256" in fails(capsys, command(folder, other))


def test_what_the_user_can_mend_is_one_line_and_nothing_is_written(folder, weights, capsys):
    assert "--resume" in fails(capsys, command(folder, ""))
    assert "edgesam download sam_vit_h" in fails(capsys, command(folder, "weights/sam_vit_h_4b8939.pth"))
    assert "missing" in fails(capsys, command(folder, weights, opts=["MODEL.TYPE", "vit_t"]))
    assert "no such folder" in fails(capsys, command(folder / "nowhere", weights))
    assert "DATA.IMG_SIZ" in fails(capsys, command(folder, weights, opts=["DATA.IMG_SIZ", "256"]))
    (folder / "file").write_text("")
    said = fails(capsys, command(folder, weights, "--output", str(folder / "file" / "deep")))
    assert "file/deep/edge_sam_sa1b/default: cannot be written; --output names" in said
    assert not (folder / "embed").exists() and not (folder / "output").exists()


def test_too_many_broken_images(folder, weights, capsys):
    (folder / "SA-1B" / "images" / "train" / "sa_0_003.jpg").write_text("broken")
    said = fails(capsys, command(folder, weights))
    listing = folder / "output" / "edge_sam_sa1b" / "default" / "refused.jsonl"
    assert "1 of 5 images are broken, more than" in said and str(listing) in said
    assert "sa_0_003" in listing.read_text()
    main(command(folder, weights, opts=["DATA.MAX_BAD_SHARE", "0.2"]))
    assert "1 images refused, listed in" in capsys.readouterr().out
    assert listing.read_text().count("sa_0_003") == 1


@pytest.mark.parametrize("option", ["--use-sync-bn", "--use-wandb", "--pretrained", "--use-checkpoint"])
def test_options_of_training_are_not_accepted(folder, weights, capsys, option):
    with pytest.raises(SystemExit) as ended:
        main(command(folder, weights, option))
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_only_one_pass_at_a_time(folder, weights, capsys):
    (folder / "embed").mkdir()
    with held_by_another_process(folder / "embed" / "train.lock"):
        assert "another pass is filling it" in fails(capsys, command(folder, weights))
    assert not (folder / "embed" / "train").exists() and not (folder / "output").exists()


def script(folder, weights, processes=None, workers="1"):
    launcher = ["-m", "torch.distributed.launch", "--master_port", "29517", "--nproc_per_node", str(processes)]
    arguments = command(folder, weights, opts=["DATA.NUM_WORKERS", workers])
    return [sys.executable, *(launcher if processes else []), "training/save_embedding.py", *arguments]


@pytest.mark.slow
def test_killed_and_gone_on_with_two_processes(tmp_path, weights, one_thread):
    folders = [tmp_path / name for name in ("killed", "whole")]
    for folder in folders:
        write_sa1b(folder / "SA-1B", "train", 24)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    main(command(folders[1], weights))

    first = subprocess.Popen(
        script(folders[0], weights), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    status = folders[0] / "embed" / "train" / "status"
    while first.poll() is None and len(list(status.glob("c.*"))) < 3:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert EmbeddingStore.open(status.parent).missing_shards()

    done = subprocess.run(
        script(folders[0], weights, processes=2), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    stores = [folder / "embed" / "train" for folder in folders]
    for name in ("embedding", "status"):
        files = [{file.name: file.read_bytes() for file in (store / name).iterdir()} for store in stores]
        assert files[0] == files[1]


@pytest.mark.parametrize("path", TEACHER_CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_recipe_means_the_model_of_its_checkpoint(path, golden_manifest):
    manifests = {"vit_h": "sam_vit_h", "vit_l": "sam_vit_l", "vit_b": "sam_vit_b", "vit_t": "mobile_sam"}
    config = load_config(path)
    assert Path(config.MODEL.RESUME).name in {file.file_name for file in OFFICIAL_FILES.values()}
    with torch.device("meta"):
        encoder = build_image_encoder(
            config.MODEL.TYPE, config.DATA.IMG_SIZE, config.DISTILL.FUSE, config.DISTILL.UPSAMPLE_MODE
        )
    shapes = golden_manifest(manifests.get(config.MODEL.TYPE, "edge_sam"))
    expected = {name: shape for name, shape in shapes.items() if name.startswith("image_encoder.")}
    assert {f"image_encoder.{name}": list(tensor.shape) for name, tensor in official_state(encoder).items()} == expected


@pytest.mark.parametrize(("dtype", "largest_error"), [("float16", 1e-3), ("int8", 1e-2)])
def test_real_photographs_are_stored_as_training_will_see_them(tmp_path, shared, dtype, largest_error):
    checkpoint, data = shared("lab_teacher", "lab_teacher_256.pth"), shared("realdata", "SA-1B")
    opts = ["DATA.NUM_SAMPLES", "3", "DISTILL.UPSAMPLE_MODE", "bilinear", "DISTILL.TEACHER_EMBED_DTYPE", dtype]
    main(command(tmp_path, checkpoint, "--data-path", str(data), opts=opts))
    store = EmbeddingStore.open(tmp_path / "embed" / "train")
    dataset = WithTeacherEmbedding(Sa1bDataset(data, "train", 256, num_samples=3), store)
    batch = collate([dataset[index] for index in range(3)])
    teacher = build_sam("rep_vit_m1", 256, upsample_mode="bilinear", checkpoint=checkpoint).eval()
    with torch.inference_mode():
        expected = teacher.image_encoder(teacher.preprocess(batch.images, batch.sizes))
    error = (batch.teacher_embedding.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 1e-6 < error < largest_error
