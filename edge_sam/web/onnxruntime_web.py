"""The files of onnxruntime-web that a page needs: one version, checked byte by byte, kept in the user's cache."""

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from edge_sam.errors import EdgeSamError

VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package's tarball, as npm states it."""

_PACKAGE = f"onnxruntime-web@{VERSION}"
_FILES = {
    "ort.wasm.js": (
        "ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "ort.wasm.wasm": (
        "ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
    "ort.webgpu.js": (
        "ort.webgpu.bundle.min.mjs",
        "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
    ),
    "ort.webgpu.wasm": (
        "ort-wasm-simd-threaded.asyncify.wasm",
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
    ),
}
"""By their name in a page (not every server knows that ``.mjs`` is JavaScript): the name in ``dist/``, its SHA-256."""

_SECONDS_TO_DOWNLOAD = 900


def runtime_files(source: Path | None = None) -> dict[str, bytes]:
    """Return the files by their name in a page: ``ort.wasm.js`` and ``ort.webgpu.js``, and the ``.wasm`` of each.

    Args:
        source: the package as npm packs it (``.tgz``), or the folder that it is installed in. Without, it is fetched
            by npm and kept in the user's cache.

    Raises:
        EdgeSamError: npm is not there or does not reach its registry, no such file or folder, or another version.
    """
    if source is None:
        source = _cached_tarball()
    if source.is_dir():
        contents = _read_folder(source)
    elif source.is_file():
        contents = _read_tarball(source)
    else:
        raise EdgeSamError(f"{source}: no such file or folder; it is what `npm pack {_PACKAGE}` writes")
    for name, (member, digest) in _FILES.items():
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise EdgeSamError(f"{source}: its {member} is not that of {_PACKAGE}")
    return contents


def _read_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / "dist" / member).read_bytes() for name, (member, _) in _FILES.items()}
    except OSError as error:
        raise EdgeSamError(f"{error.filename}: cannot be read ({error.strerror}): not {_PACKAGE}") from error


def _read_tarball(path: Path) -> dict[str, bytes]:
    _check_integrity(path)
    contents = {}
    with tarfile.open(path) as archive:
        for name, (member, _) in _FILES.items():
            file = archive.extractfile(f"package/dist/{member}")
            if file is None:
                raise RuntimeError(f"{path} has no file {member}, though its digest is right")
            contents[name] = file.read()
    return contents


def _check_integrity(path: Path) -> None:
    with path.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if f"sha512-{found}" != INTEGRITY:
        raise EdgeSamError(f"{path}: not {_PACKAGE}: its integrity is sha512-{found[:12]}..., not {INTEGRITY[:19]}...")


def _cached_tarball() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_sam"
    kept = folder / f"onnxruntime-web-{VERSION}.tgz"
    if kept.is_file():
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch") as temporary:
            fetched = _pack(Path(temporary))
            _check_integrity(fetched)
            fetched.replace(kept)
    except OSError as error:
        raise EdgeSamError(f"{folder}: cannot be written ({error.strerror})") from error
    return kept


def _pack(folder: Path) -> Path:
    """Have npm fetch the package: it knows the user's registry, mirrors and proxies."""
    instead = f"run `npm pack {_PACKAGE}` where that works and name the file by --onnxruntime-web"
    command = ["npm", "pack", _PACKAGE, "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS_TO_DOWNLOAD)
    except FileNotFoundError as error:
        raise EdgeSamError(f"npm is not installed; it fetches {_PACKAGE}: install Node.js, or {instead}") from error
    except subprocess.TimeoutExpired as error:
        raise EdgeSamError(f"npm did not fetch {_PACKAGE} in {_SECONDS_TO_DOWNLOAD} seconds: {instead}") from error
    fetched = folder / f"onnxruntime-web-{VERSION}.tgz"
    if done.returncode or not fetched.is_file():
        reason = " ".join(done.stderr.split())[:200] or f"status {done.returncode}"
        raise EdgeSamError(f"npm cannot fetch {_PACKAGE} ({reason}): {instead}")
    return fetched
