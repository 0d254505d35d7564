"""The commands of README.md, verbatim but for sizes: small pictures, a small teacher, two processes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge_sam.modeling.checkpoints import official_state, read_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b

ROOT = Path(__file__).parents[1]
SMALL = "DATA.IMG_SIZE 256 DATA.NUM_WORKERS 1 VALIDATION.NUM_IMAGES 2 VALIDATION.NUM_INSTANCES 2"


def guide_commands() -> list[str]:
    """Every command of the README's guide, continuation lines joined."""
    guide = (ROOT / "README.md").read_text().split("## The guide")[1].split("## Use it")[0]
    blocks = re.findall(r"```bash\n(.*?)```", guide, flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def run(command: str, folder: Path) -> str:
    """Run a shell line as a reader would, with this interpreter first on the path."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder as the guide's reader has it, with a small random EdgeSAM where SAM's checkpoint would lie."""
    folder = tmp_path_factory.mktemp("guide")
    for name in ("training", "scripts", "evaluation"):
        (folder / name).symlink_to(ROOT / name)
    write_sa1b(folder / "datasets" / "SA-1B", "train", 8)
    write_sa1b(folder / "datasets" / "SA-1B", "val", 3, seed=1)
    torch.manual_seed(0)
    (folder / "weights").mkdir()
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), folder / "weights" / "sam_vit_h_4b8939.pth")
    return folder


def test_guide_names_every_step_once():
    commands = guide_commands()
    scripts = [re.search(r"edgesam \w+|(training|scripts)/\w+\.(py|sh)", command)[0] for command in commands]
    assert scripts == [
        "edgesam prepare",
        "edgesam prepare",
        "edgesam download",
        "training/save_embedding.py",
        "training/train.py",
        "scripts/convert_weights.py",
        "training/train.py",
        "scripts/eval_mIoU.sh",
    ]


@pytest.mark.slow
def test_guide_runs_from_photographs_to_numbers(workplace):
    embed, phase1, convert, phase2, evaluate = guide_commands()[3:]

    def small(command: str, batch: int, options: str) -> str:
        command = re.sub(r"--nproc_per_node \d+", "--nproc_per_node 2", command)
        return re.sub(r"--batch-size \d+", f"--batch-size {batch}", command) + f" --opts {SMALL} {options}"

    said = run(small(embed, 2, "MODEL.TYPE rep_vit_m1"), workplace)
    assert "8" in said
    run(small(embed, 2, "MODEL.TYPE rep_vit_m1") + " --check-saved-embed", workplace)
    run(small(phase1, 2, "MODEL.PRETRAINED scratch"), workplace)
    run(convert, workplace)
    run(small(phase2, 2, "DISTILL.MAX_ALLOWED_PROMPTS 4"), workplace)

    phase1_folder = workplace / "output" / "rep_vit_m1_fuse_sa_distill" / "default"
    phase2_folder = workplace / "output" / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill" / "default"
    teacher = read_state(workplace / "weights" / "sam_vit_h_4b8939.pth")
    joined = read_state(phase1_folder / "ckpt_epoch_9_model.pth")
    assert list(joined) == list(teacher)
    assert torch.equal(joined["mask_decoder.iou_token.weight"], teacher["mask_decoder.iou_token.weight"])
    raw = read_state(phase2_folder / "ckpt_epoch_4.pth")
    assert list(raw) == list(teacher)
    assert not torch.equal(raw["mask_decoder.iou_token.weight"], teacher["mask_decoder.iou_token.weight"])
    assert torch.equal(
        raw["prompt_encoder.not_a_point_embed.weight"], teacher["prompt_encoder.not_a_point_embed.weight"]
    )

    run(f"python scripts/convert_weights.py {phase2_folder}/ckpt_epoch_4.pth", workplace)
    converted = read_state(phase2_folder / "ckpt_epoch_4_model.pth")
    assert all(torch.equal(converted[name], raw[name]) for name in raw)

    numbers = []
    for checkpoint in ("ckpt_epoch_4.pth", "ckpt_epoch_4_model.pth"):
        result = workplace / f"{checkpoint}.json"
        line = re.sub(r"\S+/ckpt_epoch_4\.pth", str(phase2_folder / checkpoint), evaluate)
        run(f"{line} --max-prompt-bs 8 --output {result} --opts DATA.IMG_SIZE 256 DATA.NUM_WORKERS 1", workplace)
        numbers.append([row["miou"] for row in json.loads(result.read_text())["results"]])
    assert numbers[0] == numbers[1]
