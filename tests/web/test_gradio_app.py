"""The command of the demo on a server; the page is in test_gradio_page.py."""

import argparse
import importlib.util
import sys
from pathlib import Path

import pytest

from edge_sam.errors import EdgeSamError


@pytest.fixture(scope="module")
def app():
    path = Path(__file__).parents[2] / "web_demo" / "gradio_app.py"
    spec = importlib.util.spec_from_file_location("gradio_app", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_gradio_one_line_says_what_to_install_and_help_works(app, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "edge_sam.web.gradio_page", raising=False)
    with pytest.raises(SystemExit) as ended:
        app.main(["--checkpoint", "nothing.pth"])
    error = capsys.readouterr().err
    assert ended.value.code == 1 and error.count("\n") == 1
    assert error.startswith("error: the page needs a package: pip install 'edge-sam[web-demo]' (")
    with pytest.raises(SystemExit) as ended:
        app.main(["--help"])
    assert ended.value.code == 0 and "--server-name" in capsys.readouterr().out


def test_exported_files_are_found_where_the_export_wrote_them(app, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_sam.runtime.onnx_graphs.OnnxSamPredictor", lambda *paths: paths)
    (tmp_path / "my.model").mkdir()
    (tmp_path / "small.pth").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.pth").symlink_to(tmp_path / "small.pth")
    options = {"enable_onnx": True, "model_type": None, "image_size": None, "upsample_mode": None}
    for checkpoint, stem in (
        ("small.pth", "small"),
        ("my.model", "my.model/my.model"),  # a folder of save_pretrained
        ("elsewhere/link.pth", "elsewhere/link"),
    ):
        chosen = argparse.Namespace(checkpoint=tmp_path / checkpoint, **options)
        expected = tuple(tmp_path / f"{stem}_{part}.onnx" for part in ("encoder", "decoder"))
        assert app.load_predictor(chosen) == expected
    chosen.image_size = 512
    with pytest.raises(EdgeSamError, match="leave its options out"):
        app.load_predictor(chosen)
