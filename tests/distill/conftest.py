"""A workplace as a user has it, small: pictures, a random teacher, its (made-up) embeddings."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_sam.data.sa1b import Sa1bDataset, collate
from edge_sam.distributed import World
from edge_sam.embeddings.dataset import WithTeacherEmbedding
from edge_sam.embeddings.images import PREPROCESSING
from edge_sam.embeddings.store import EmbeddingStore, StoreSpec
from edge_sam.modeling.checkpoints import file_sha256, official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b

ALONE = World(0, 1, torch.device("cpu"))
ROOT = Path(__file__).parents[2]
PHASE_1 = "rep_vit_m1_fuse_sa_distill"
PHASE_2 = "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill"
FROM_SCRATCH, FINE_TUNING, DECODER_ALONE = (
    f"supervised/{name}" for name in ("lab_teacher_crops", "finetune_edge_sam", "finetune_decoder")
)


@dataclass(frozen=True)
class Workplace:
    folder: Path
    data: Path
    teacher: Path
    embeddings: Path

    def arguments(self, config: str, output: Path, *opts: object) -> list[str]:
        """The command line of a short run."""
        settings = [
            "DATA.IMG_SIZE", 256, "DATA.NUM_WORKERS", 0, "DISTILL.TEACHER_CHECKPOINT", self.teacher,
            "DISTILL.TEACHER_EMBED_PATH", self.embeddings, "DISTILL.MAX_ALLOWED_PROMPTS", 3, "TRAIN.EPOCHS", 2,
            "TRAIN.WARMUP_EPOCHS", 0, "VALIDATION.NUM_IMAGES", 0, "PRINT_FREQ", 1, "TRAIN.LR_SCALE_BY_BATCH", False,
            "TRAIN.BASE_LR", 1e-3, *opts,
        ]  # fmt: skip
        return [
            "--cfg", str(ROOT / "training" / "configs" / f"{config}.yaml"), "--data-path", str(self.data),
            "--output", str(output), "--batch-size", "2", "--pretrained", "scratch", "--only-cpu",
            "--opts", *map(str, settings),
        ]  # fmt: skip

    def start(self, arguments: list[str], processes: int = 1) -> "subprocess.Popen[str]":
        """Start ``training/train.py`` as a user would, in a process group of its own, as a terminal does."""
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        return subprocess.Popen(
            [sys.executable, *(launcher if processes > 1 else []), str(ROOT / "training" / "train.py"), *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def train(self, arguments: list[str], processes: int = 1) -> str:
        """Run it to the end and return what it said."""
        process = self.start(arguments, processes)
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said
        return said


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as in a terminal, here and in children: a job in the background starts with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory) -> Workplace:
    folder = tmp_path_factory.mktemp("workplace")
    data = write_sa1b(folder / "SA-1B", "train", 8)
    write_sa1b(data, "val", 2, seed=1)
    torch.manual_seed(0)
    teacher = folder / "teacher.pth"
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), teacher)
    spec = StoreSpec(
        teacher_type="rep_vit_m1", teacher_sha256=file_sha256(teacher), fuse=True, upsample_mode="bicubic",
        image_size=256, preprocessing=PREPROCESSING, precision="float32", dtype="float16",
    )  # fmt: skip
    store = EmbeddingStore.create(folder / "embeddings" / "train", spec, Sa1bDataset(data, "train", 256).ids, 8)
    embeddings = np.random.default_rng(0).standard_normal((8, 256, 16, 16)).astype(np.float32)
    store.write_shard(0, embeddings, np.ones(8, bool))
    return Workplace(folder, data, teacher, folder / "embeddings")


@pytest.fixture(scope="session")
def dataset(workplace) -> WithTeacherEmbedding:
    images = Sa1bDataset(workplace.data, "train", 256, max_annotations=3, clicks=2)
    return WithTeacherEmbedding(images, EmbeddingStore.open(workplace.embeddings / "train"))


@pytest.fixture
def batch(dataset):
    """Two pictures with three prompts each."""
    return collate([dataset[0], dataset[1]])


@pytest.fixture(scope="session")
def masked_dataset(workplace) -> WithTeacherEmbedding:
    images = Sa1bDataset(workplace.data, "train", 256, max_annotations=3, clicks=2, with_masks=True)
    return WithTeacherEmbedding(images, EmbeddingStore.open(workplace.embeddings / "train"))


@pytest.fixture
def masked_batch(masked_dataset):
    """Two pictures with three masks each."""
    return collate([masked_dataset[0], masked_dataset[1]])
