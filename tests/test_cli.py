"""The ``edgesam`` command, against files and a server of this machine."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge_sam.cli import main
from tests.synthetic import write_sa1b, write_tar


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_prepare_lays_out_a_folder_of_tars(tmp_path, capsys):
    root = write_sa1b(tmp_path / "made", "train", 3)
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "sa_000020.tar", root, "train")
    (tmp_path / "subset.txt").write_text("sa_000020.tar\n")
    arguments = ["prepare", "sa1b", str(tmp_path / "tars"), "--subset", str(tmp_path / "subset.txt")]
    main([*arguments, "--split", "train", "--data-path", str(tmp_path / "SA-1B")])
    assert "3 images" in capsys.readouterr().out
    assert len(list((tmp_path / "SA-1B" / "images" / "train").iterdir())) == 3


def test_download_fetches_from_a_mirror(tmp_path, server, capsys):
    (tmp_path / "served" / "mobile_sam.pt").write_bytes(b"weights")
    main(["download", "mobile_sam", "--folder", str(tmp_path / "weights"), "--base-url", server])
    assert (tmp_path / "weights" / "mobile_sam.pt").read_bytes() == b"weights"
    assert str(tmp_path / "weights" / "mobile_sam.pt") in capsys.readouterr().out


def test_download_refuses_other_contents_than_the_name_says(tmp_path, server, capsys):
    (tmp_path / "served" / "sam_vit_b_01ec64.pth").write_bytes(b"something else")
    with pytest.raises(SystemExit) as ended:
        main(["download", "sam_vit_b", "--folder", str(tmp_path / "weights"), "--base-url", server])
    assert ended.value.code == 1
    assert "01ec64" in capsys.readouterr().err
    assert not (tmp_path / "weights" / "sam_vit_b_01ec64.pth").exists()


def test_demo_names_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--teacher", str(tmp_path / "nowhere.safetensors")])
    assert ended.value.code == 1
    assert "nowhere.safetensors: no such teacher checkpoint" in capsys.readouterr().err
