"""Tars of SA-1B, read without unpacking them: where each member's bytes lie.

A tar of SA-1B holds ``./sa_NNN.jpg`` and ``./sa_NNN.json`` side by side. Finding all members means reading through the
headers of the whole file, so the result is kept: next to the tar, or where that may not be written, in a cache folder.
"""

import hashlib
import json
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from edge_sam.atomic_writing import write_atomically
from edge_sam.data.annotations import BrokenSample
from edge_sam.errors import EdgeSamError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ANNOTATION_SUFFIX = ".json"
LARGEST_MEMBER = 256 * 2**20
"""Bytes; a member that claims more is refused."""

_INDEX_VERSION = 1
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True)
class Member:
    """The bytes of one image or annotation inside of a tar."""

    name: str
    offset: int
    size: int

    @property
    def stem(self) -> str:
        """The image id."""
        return Path(self.name).stem

    @property
    def is_annotation(self) -> bool:
        """Whether this is an annotation file; the others are images."""
        return self.name.lower().endswith(ANNOTATION_SUFFIX)


@dataclass(frozen=True)
class TarIndex:
    """All usable members of a tar, sorted by name, and (member name, reason) of those that were refused."""

    members: tuple[Member, ...]
    refused: tuple[tuple[str, str], ...]


def read_member(tar: Path, member: Member) -> bytes:
    """Return a member's bytes. Opens the tar anew: safe in any thread or forked process.

    Raises:
        BrokenSample: the tar is gone, or shorter than when it was indexed.
    """
    try:
        content = _read_range(tar, member.offset, member.size)
    except OSError as error:
        raise BrokenSample(f"{tar.name} cannot be read ({error.strerror})") from error
    if len(content) < member.size:
        raise BrokenSample(f"{tar.name} ends within {member.name}")
    return content


def _read_range(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def index_tar(tar: Path, cache_folder: Path | None = None) -> TarIndex:
    """Find the members of ``tar``, from the kept index where there is one of the same tar (by size and time).

    Args:
        tar: an uncompressed tar.
        cache_folder: where indices are kept; by default next to the tar as ``NAME.tar.index.json``, and where that
            folder cannot be written, under ``$XDG_CACHE_HOME/edge_sam`` (``~/.cache/edge_sam``).

    Raises:
        EdgeSamError: no tar, a compressed or a truncated one.
    """
    try:
        status = tar.stat()
    except OSError as error:
        raise EdgeSamError(f"{tar}: cannot be read ({error.strerror})") from error
    stamp = {"version": _INDEX_VERSION, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    places = _index_places(tar, cache_folder)
    for place in places:
        index = _load_index(place, stamp)
        if index is not None:
            return index
    index = scan_tar(tar)
    for place in places:
        if _save_index(place, stamp, index):
            break
    return index


def _index_places(tar: Path, cache_folder: Path | None) -> list[Path]:
    name = f"{tar.name}.index.json"
    if cache_folder is not None:
        return [cache_folder / f"{_path_hash(tar)}_{name}"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_sam"
    return [tar.with_name(name), cache / f"{_path_hash(tar)}_{name}"]


def _path_hash(tar: Path) -> str:
    """Tars of one name may lie in several folders."""
    return hashlib.sha256(str(tar.resolve()).encode()).hexdigest()[:12]


def _load_index(place: Path, stamp: dict[str, int]) -> TarIndex | None:
    try:
        tree = json.loads(place.read_bytes())
        if tree["stamp"] != stamp:
            return None
        members = tuple(Member(name, offset, size) for name, offset, size in tree["members"])
        return TarIndex(members, tuple((name, reason) for name, reason in tree["refused"]))
    except (OSError, ValueError, KeyError, TypeError):  # absent, or not one of ours: made anew
        return None


def _save_index(place: Path, stamp: dict[str, int], index: TarIndex) -> bool:
    """Write the index; false where that is not allowed, for then it is just found again the next time."""
    members = [[member.name, member.offset, member.size] for member in index.members]
    text = json.dumps({"stamp": stamp, "members": members, "refused": index.refused})
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, text)
    except OSError:
        return False
    return True


def scan_tar(tar: Path) -> TarIndex:
    """Find the members of ``tar`` by reading through all of its headers.

    Raises:
        EdgeSamError: no tar, a compressed, a damaged or a truncated one.
    """
    members: dict[str, Member] = {}
    refused: list[tuple[str, str]] = []
    try:
        with tarfile.open(tar, "r:") as archive:
            for entry in archive:
                if entry.isdir():
                    continue
                name = entry.name.removeprefix("./")
                reason = _why_refused(entry, name) or ("is there twice" if name in members else None)
                if reason is None:
                    members[name] = Member(name, entry.offset_data, entry.size)
                else:
                    refused.append((entry.name, reason))
            end = archive.offset
        # tarfile takes a damaged header, or none at all, for the end; a real end is marked by zeros.
        if _read_range(tar, end, tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header and no end at byte {end}")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise EdgeSamError(f"{tar}: not a whole, uncompressed tar ({error}); fetch it again") from error
    return TarIndex(tuple(members[name] for name in sorted(members)), tuple(refused))


def _why_refused(entry: tarfile.TarInfo, name: str) -> str | None:
    """Return what is wrong with a member, or None. Nothing is ever written under a name that fails here."""
    if not entry.isreg() or entry.issparse():
        return "is not a plain file"
    if not _SAFE_NAME.fullmatch(name):
        return "is not a plain file name without folders"
    if not name.lower().endswith((*IMAGE_SUFFIXES, ANNOTATION_SUFFIX)):
        return "is neither an image nor an annotation file"
    if entry.size > LARGEST_MEMBER:
        return f"claims {entry.size} bytes, more than {LARGEST_MEMBER}"
    return None
