import base64
import hashlib
import io
import os
import tarfile

import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.web import onnxruntime_web

CONTENTS = {f"file{i}": f"content {i}".encode() for i in range(4)}
NPM = '#!/bin/sh\necho "$@" >> "$CALLS"\ncp "$PACKED" .\n'


@pytest.fixture
def tarball(tmp_path, monkeypatch):
    """A small package in onnxruntime-web's place, and a cache of its own."""
    path = tmp_path / f"onnxruntime-web-{onnxruntime_web.VERSION}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in CONTENTS.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    files = {f"ort.{name}": (name, hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()}
    monkeypatch.setattr(onnxruntime_web, "_FILES", files)
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(onnxruntime_web, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


@pytest.fixture
def npm(tmp_path, monkeypatch, tarball):
    """``npm(script)``: another npm on the path; with $PACKED the package and $CALLS what it was called with."""
    monkeypatch.setenv("PACKED", str(tarball))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))

    def install(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "npm").write_text(script)
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "calls"

    return install


def test_a_packed_file_and_an_installed_folder_give_the_same(tarball, tmp_path):
    expected = {f"ort.{name}": content for name, content in CONTENTS.items()}
    assert onnxruntime_web.runtime_files(tarball) == expected
    folder = tmp_path / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / "dist" / name).write_bytes(content)
    assert onnxruntime_web.runtime_files(folder) == expected
    (folder / "dist" / "file2").write_bytes(b"another version")
    with pytest.raises(EdgeSamError, match=r"its file2 is not that of onnxruntime-web@"):
        onnxruntime_web.runtime_files(folder)
    (folder / "dist" / "file1").unlink()
    with pytest.raises(EdgeSamError, match=r"file1: cannot be read"):
        onnxruntime_web.runtime_files(folder)


def test_npm_is_asked_once(npm, tarball):
    calls = npm(NPM)
    assert len(onnxruntime_web.runtime_files()) == len(onnxruntime_web.runtime_files()) == 4
    assert calls.read_text().splitlines() == [
        f"pack onnxruntime-web@{onnxruntime_web.VERSION} --ignore-scripts --loglevel=error"
    ]


def test_what_arrives_is_checked_before_it_is_kept(npm, tarball, tmp_path):
    npm(NPM + f'echo changed >> "onnxruntime-web-{onnxruntime_web.VERSION}.tgz"\n')
    with pytest.raises(EdgeSamError, match="its integrity is sha512-"):
        onnxruntime_web.runtime_files()
    assert list((tmp_path / "cache" / "edge_sam").iterdir()) == []


def test_no_network_and_no_npm_say_what_to_do(npm, monkeypatch):
    npm("#!/bin/sh\necho 'npm error network unreachable' >&2\nexit 1\n")
    with pytest.raises(EdgeSamError, match=r"network unreachable.*`npm pack onnxruntime-web@.*--onnxruntime-web"):
        onnxruntime_web.runtime_files()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EdgeSamError, match=r"npm is not installed.*--onnxruntime-web"):
        onnxruntime_web.runtime_files()


def test_another_file_or_none_is_an_error(tarball, tmp_path):
    tarball.write_bytes(tarball.read_bytes() + b"!")
    with pytest.raises(EdgeSamError, match="its integrity is"):
        onnxruntime_web.runtime_files(tarball)
    with pytest.raises(EdgeSamError, match="no such file or folder"):
        onnxruntime_web.runtime_files(tmp_path / "nothing")
