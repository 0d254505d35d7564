"""README's section on one's own masks: its commands, verbatim but for sizes."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from edge_sam.modeling.checkpoints import official_state, read_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b
from tests.test_guide import ROOT, run

SMALL = "DATA.IMG_SIZE 256 DATA.NUM_WORKERS 1"
ONE_NETWORK = "MODEL.TYPE rep_vit_m1"
SHORT = "DISTILL.MAX_ALLOWED_PROMPTS 3 VALIDATION.NUM_IMAGES 1 VALIDATION.NUM_INSTANCES 1"


def section_commands() -> list[str]:
    """Every command of the section, continuation lines joined."""
    section = (ROOT / "README.md").read_text().split("## Train on your own masks")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def write_coco(folder: Path, split: str, count: int) -> None:
    """Write pictures and one COCO instances file of a split."""
    source = write_sa1b(folder / "source", split, count, seed=count)
    images, annotations = [], []
    for number, file in enumerate(sorted((source / "annotations" / split).iterdir())):
        tree = json.loads(file.read_text())
        images.append({"id": number, **{key: tree["image"][key] for key in ("file_name", "width", "height")}})
        for entry in tree["annotations"]:
            kept = {key: entry[key] for key in ("segmentation", "bbox", "area")}
            kept |= {"id": len(annotations), "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append(kept)
        (folder / "pictures").mkdir(exist_ok=True)
        shutil.copy(source / "images" / split / f"{file.stem}.jpg", folder / "pictures")
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ellipse"}]}
    (folder / f"instances_{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """COCO files of a few pictures, and a small random EdgeSAM where the official checkpoints would lie."""
    folder = tmp_path_factory.mktemp("own_masks")
    for name in ("training", "scripts", "evaluation"):
        (folder / name).symlink_to(ROOT / name)
    write_coco(folder, "train", 4)
    write_coco(folder, "val", 2)
    torch.manual_seed(0)
    (folder / "weights").mkdir()
    for name in ("edge_sam_3x.pth", "sam_vit_b_01ec64.pth"):
        save_state(official_state(build_sam("rep_vit_m1", image_size=256)), folder / "weights" / name)
    return folder


@pytest.mark.slow
def test_the_section_runs_from_coco_files_to_tuned_models(workplace):
    prepare_train, prepare_val, tune, convert, evaluate, embed, tune_decoder = section_commands()
    run(prepare_train, workplace)
    run(prepare_val, workplace)
    said = run(f"{tune} --opts {SMALL} {SHORT}", workplace)
    assert "4 images of datasets/own" in said and "of weights/edge_sam_3x.pth" in said
    run(convert, workplace)
    said = run(f"{evaluate} --opts {SMALL}", workplace)
    assert "mIoU" in said

    said = run(f"{embed} --opts {SMALL} {ONE_NETWORK}", workplace)
    assert "4 embeddings" in said
    run(f"{tune_decoder} --opts {SMALL} {ONE_NETWORK} {SHORT} TRAIN.EPOCHS 2", workplace)
    tuned = read_state(workplace / "output" / "finetune_decoder" / "default" / "ckpt_epoch_1.pth")
    start = read_state(workplace / "weights" / "sam_vit_b_01ec64.pth")
    learnt = {name.split(".")[0] for name in start if not torch.equal(start[name], tuned[name])}
    assert learnt == {"mask_decoder"}
