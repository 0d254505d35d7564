import os

import pytest

from edge_sam.atomic_writing import TEMPORARY_SUFFIX, write_atomically


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / "note.json"
    for content, expected in (("grün", "grün".encode()), (b"\x00\xff", b"\x00\xff")):
        write_atomically(path, content)
        assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path] and path.stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "note.json"
    write_atomically(path, "before")

    def fail(descriptor, mode):
        os.close(descriptor)
        raise OSError("disk full")

    monkeypatch.setattr(os, "fdopen", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_leaves_can_be_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fdopen", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        write_atomically(tmp_path / "note.json", "x")
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".note.json.") and left.name.endswith(TEMPORARY_SUFFIX)
