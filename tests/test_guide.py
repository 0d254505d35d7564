"""The commands of README.md, verbatim but for sizes: small pictures, a small teacher, two processes."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from edge_sam.modeling.checkpoints import official_state, read_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b, write_tar

ROOT = Path(__file__).parents[1]
PHASE_2 = "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill"
SMALL = "DATA.IMG_SIZE 256 DATA.NUM_WORKERS 1 VALIDATION.NUM_IMAGES 2 VALIDATION.NUM_INSTANCES 2"


def guide_commands() -> list[str]:
    """Every command of the README's guide, continuation lines joined."""
    guide = (ROOT / "README.md").read_text().split("## The guide")[1].split("## Use a model")[0]
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
    torch.manual_seed(0)
    (folder / "weights").mkdir()
    save_state(official_state(build_sam("rep_vit_m1", image_size=256)), folder / "weights" / "sam_vit_h_4b8939.pth")
    return folder


@pytest.fixture(scope="module")
def link_file(workplace) -> Iterator[None]:
    """``links.txt`` with a link for every tar that the guide names, to a server of this machine."""
    (workplace / "served").mkdir()
    for split in ("train", "val"):
        for number, tar in enumerate((ROOT / "training" / f"sa_{split}_subset.txt").read_text().split()):
            count = 3 if split == "val" else 1
            source = write_sa1b(workplace / "pictures" / tar, split, count, seed=number)
            write_tar(workplace / "served" / tar, source, split)
    handler = partial(SimpleHTTPRequestHandler, directory=workplace / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        lines = [f"{tar.name}\t{address}/{tar.name}" for tar in sorted((workplace / "served").iterdir())]
        (workplace / "links.txt").write_text("\n".join(["file_name\tcdn_link", *lines]) + "\n")
        yield
        server.shutdown()


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
        "scripts/convert_weights.py",
        "scripts/eval_mIoU.sh",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("link_file")
def test_guide_runs_from_photographs_to_numbers(workplace):
    prepare_train, prepare_val, _, embed, phase_1, convert_1, phase_2, convert_2, evaluate = guide_commands()

    def small(command: str, options: str) -> str:
        command = re.sub(r"--nproc_per_node \d+", "--nproc_per_node 2", command)
        return re.sub(r"--batch-size \d+", "--batch-size 2", command) + f" --opts {SMALL} {options}"

    assert "10 images" in run(prepare_train, workplace)
    assert "3 images" in run(prepare_val, workplace)
    run(small(embed, "MODEL.TYPE rep_vit_m1"), workplace)
    run(small(embed, "MODEL.TYPE rep_vit_m1") + " --check-saved-embed", workplace)
    run(small(phase_1, "MODEL.PRETRAINED scratch"), workplace)
    run(convert_1, workplace)
    run(small(phase_2, "DISTILL.MAX_ALLOWED_PROMPTS 4"), workplace)
    run(convert_2, workplace)

    runs = workplace / "output"
    folder_1, folder_2 = (runs / name / "default" for name in ("rep_vit_m1_fuse_sa_distill", PHASE_2))
    teacher = read_state(workplace / "weights" / "sam_vit_h_4b8939.pth")
    joined = read_state(folder_1 / "ckpt_epoch_9_model.pth")
    assert list(joined) == list(teacher)
    assert torch.equal(joined["mask_decoder.iou_token.weight"], teacher["mask_decoder.iou_token.weight"])
    raw, converted = (read_state(folder_2 / name) for name in ("ckpt_epoch_4.pth", "ckpt_epoch_4_model.pth"))
    assert list(raw) == list(teacher) == list(converted)
    assert all(torch.equal(converted[name], raw[name]) for name in raw)
    assert not torch.equal(raw["mask_decoder.iou_token.weight"], teacher["mask_decoder.iou_token.weight"])
    frozen = "prompt_encoder.not_a_point_embed.weight"
    assert torch.equal(raw[frozen], teacher[frozen])

    numbers = []
    for checkpoint in ("ckpt_epoch_4.pth", "ckpt_epoch_4_model.pth"):
        line = evaluate.replace("ckpt_epoch_4.pth", checkpoint)
        run(f"{line} --output {checkpoint}.json --opts DATA.IMG_SIZE 256 DATA.NUM_WORKERS 1", workplace)
        report = json.loads((workplace / f"{checkpoint}.json").read_text())
        numbers.append([result["miou"] for result in report["results"]])
    assert numbers[0] == numbers[1]

    snippet = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    picture = next((workplace / "datasets" / "SA-1B" / "images" / "val").iterdir())
    shutil.copy(picture, workplace / "photograph.jpg")
    (workplace / "use_it.py").write_text(snippet[1] + "print(masks.shape, scores.shape)\n")
    assert "(3, 192, 256) (3,)" in run("python use_it.py", workplace)
