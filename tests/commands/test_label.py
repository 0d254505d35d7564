import json

import numpy as np
import pytest
import torch
from PIL import Image

from edge_sam.cli import main
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.registry import build_sam


@pytest.fixture
def checkpoint(tmp_path):
    """Weights that do not tell their network."""
    torch.manual_seed(0)
    save_state(official_state(build_sam("rep_vit_m1", 64)), tmp_path / "plain.pth")
    return tmp_path / "plain.pth"


def test_masks_of_another_network_of_the_same_file_are_made_anew(checkpoint, tmp_path, capsys):
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    photographs.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(photographs / "a.png")

    def label(*network):
        main(["label", str(photographs), "--checkpoint", str(checkpoint), "--data-path", str(out), "--only-cpu",
              "--points-per-side", "3", "--pred-iou-thresh", "-9", "--stability-score-thresh", "0",
              *network])  # fmt: skip
        made_by = json.loads((out / "annotations" / "train" / "a.json").read_text())["made_by"]
        return "of them labelled before" in capsys.readouterr().out, made_by["network"]

    small = {"model_type": "rep_vit_m1", "image_size": 64, "fuse": True, "upsample_mode": "bicubic"}
    assert label("--image-size", "64") == (False, small)
    assert label("--image-size", "64") == (True, small)
    assert label("--image-size", "96") == (False, small | {"image_size": 96})
    bilinear = small | {"image_size": 96, "upsample_mode": "bilinear"}
    assert label("--image-size", "96", "--upsample-mode", "bilinear") == (False, bilinear)
