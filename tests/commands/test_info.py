import hashlib

import pytest
import torch

from edge_sam.cli import main
from edge_sam.modeling.checkpoints import official_state, save_checkpoint, save_state
from edge_sam.modeling.sam import Sam


def info(path, capsys):
    main(["info", str(path)])
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_a_folder_and_its_file(model_folder, capsys):
    weights = model_folder / "model.safetensors"
    about = info(model_folder, capsys)
    assert about == info(weights, capsys)
    assert about["SHA-256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert about["holds"] == "weights"
    assert about["complete"] == "yes, a whole model"
    assert about["network"] == "rep_vit_m1, 256 px, fused, bicubic upsampling (as the file says)"
    total = sum(tensor.numel() for tensor in Sam.from_pretrained(model_folder).state_dict().values())
    assert about["parameters"].startswith(f"{total:,}: image_encoder ")


def test_checkpoints_of_training_and_files_that_tell_nothing(model_folder, tmp_path, capsys):
    sam = Sam.from_pretrained(model_folder)
    encoder = official_state(sam.image_encoder)
    sampler = {"epoch": 2, "images_seen": 30, "length": 100}
    settings = {"MODEL": {"TYPE": "rep_vit_m1"}, "DATA": {"IMG_SIZE": 256}}
    run = {"format": 1, "model": encoder, "optimizer": {}, "step": 7, "sampler": sampler, "config": settings}
    save_checkpoint({**run, "teacher_sha256": "ab"}, tmp_path / "ckpt.pth")
    about = info(tmp_path / "ckpt.pth", capsys)
    assert about["holds"] == "a training checkpoint" and "an image encoder alone" in about["parameters"]
    assert about["complete"] == "yes, an image encoder alone"
    assert about["training"] == "7 steps, 2 epochs and 30 images" and about["teacher"] == "SHA-256 ab"
    save_state(official_state(sam), tmp_path / "plain.pth")
    network = info(tmp_path / "plain.pth", capsys)["network"]
    assert network.startswith("rep_vit_m1, 1024 px") and "they do not tell the size" in network


def test_a_file_that_does_not_hold_all_says_so(model_folder, tmp_path, capsys):
    state = official_state(Sam.from_pretrained(model_folder))
    name = "mask_decoder.iou_token.weight"
    without = {key: tensor for key, tensor in state.items() if key != name}
    cases = {
        "missing": (without, f"no, as a whole model: 1 missing tensor ({name})"),
        "more": ({**state, "surprise": torch.zeros(1)}, "no, as a whole model: 1 unexpected tensor (surprise)"),
        "shape": ({**state, name: state[name][:, :9]}, f"no, as a whole model: {name} has shape (1, 9), not (1, 256)"),
    }
    for kind, (tensors, told) in cases.items():
        save_state(tensors, tmp_path / f"{kind}.safetensors")
        assert info(tmp_path / f"{kind}.safetensors", capsys)["complete"] == told


def test_no_weights(tmp_path, capsys):
    for text in ("nothing", "hello world\n", "a note about weights\n"):
        (tmp_path / "text.pth").write_text(text)
        with pytest.raises(SystemExit):
            main(["info", str(tmp_path / "text.pth")])
        assert "text.pth: not a weight file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path)])
    assert capsys.readouterr().err.startswith("error: ")
