"""Where exported files go."""

from pathlib import Path

import pytest

from edge_sam.commands.export import export_stem


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
