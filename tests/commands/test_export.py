"""Where exported files go, and which pictures an export is calibrated and compared on."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_sam.cli import main
from edge_sam.commands.export import comparison_pictures, export_stem
from edge_sam.errors import EdgeSamError


@pytest.fixture
def model(tmp_path):
    """A weight file as a cache of downloads keeps it: a link to a file whose name says nothing."""
    for name in ("blobs", "snapshots"):
        (tmp_path / name).mkdir()
    (tmp_path / "blobs" / "7cac").touch()
    link = tmp_path / "snapshots" / "model.safetensors"
    link.symlink_to("../blobs/7cac")
    return link


def test_they_go_beside_the_name_that_was_given(model, tmp_path):
    assert export_stem(model) == tmp_path / "snapshots" / "model"
    assert export_stem(model, tmp_path) == tmp_path / "model"


def test_they_go_into_a_folder_under_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "my.model"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for given in (folder, Path(), Path("../my.model")):
        assert export_stem(given) == folder / "my.model"
        assert export_stem(given, Path("out")) == Path("out/my.model")


@pytest.fixture
def one_picture(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(folder / "one.png")
    return folder


@pytest.mark.slow
def test_a_decoder_of_8_bits_asks_for_no_calibration_and_claims_none(model_folder, one_picture, tmp_path):
    command = ["export", model_folder, "--to", "onnx", "--part", "decoder", "--quantize", "int8"]
    main([*map(str, command), "--images", str(one_picture), "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / f"{model_folder.name}_int8_decoder.onnx.parity.json").read_text())
    assert found["compared_on"] == "1 picture of photographs"
    assert not {"calibrated_on", "float32_layers"} & set(found)


def test_pictures_are_kept_apart_for_an_encoder_of_8_bits(one_picture):
    chosen = Namespace(images=one_picture, num_images=8, num_calibration_images=32, quantize="int8")
    with pytest.raises(EdgeSamError, match="one picture; int8 needs two at least"):
        comparison_pictures(chosen, 64)
    Image.new("RGB", (80, 60)).save(one_picture / "two.png")
    compared, calibration = comparison_pictures(chosen, 64)
    assert len(compared) == len(calibration) == 1
