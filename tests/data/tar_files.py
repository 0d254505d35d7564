"""Tars as SA-1B has them, and worse ones, for the tests of this folder."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.synthetic import write_sa1b


def write_tar(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    """Write members (name or header, content) in the given order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for header, content in members:
            entry = header if isinstance(header, tarfile.TarInfo) else tarfile.TarInfo(header)
            if entry.isreg():
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def sa1b_members(folder: Path, count: int, seed: int) -> list[tuple[str, bytes]]:
    """Images and annotations as SA-1B's tars hold them: ``./NAME.jpg`` before ``./NAME.json``."""
    write_sa1b(folder, "train", count, seed)
    names = [path.stem for path in sorted((folder / "images" / "train").iterdir()) if f"sa_{seed}_" in path.name]
    return [
        (f"./{name}.{ending}", (folder / kind / "train" / f"{name}.{ending}").read_bytes())
        for name in names
        for kind, ending in (("images", "jpg"), ("annotations", "json"))
    ]
