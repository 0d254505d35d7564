"""Finding the members of tars: indices kept and made anew, hostile members refused, damage told."""

import json
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.tars import LARGEST_MEMBER, Member, index_tar, read_member, scan_tar
from edge_sam.errors import EdgeSamError
from tests.data.tar_files import write_tar

SOUND = [("./sa_2.jpg", b"image two"), ("./sa_2.json", b"{}"), ("sa_10.png", b"image ten")]


@pytest.fixture
def tar(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_tar(tmp_path / "tars" / "sa_000020.tar", SOUND)


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, link
    return header


def test_members_are_sorted_and_read(tar):
    index = index_tar(tar)
    assert [member.name for member in index.members] == ["sa_10.png", "sa_2.jpg", "sa_2.json"]
    assert [member.stem for member in index.members] == ["sa_10", "sa_2", "sa_2"]
    assert [member.is_annotation for member in index.members] == [False, False, True]
    assert [read_member(tar, member) for member in index.members] == [b"image ten", b"image two", b"{}"]
    assert index.refused == ()


HOSTILE = {
    "absolute": ("/etc/sa_1.jpg", "plain file name"),
    "parent": ("../sa_1.jpg", "plain file name"),
    "hidden parent": ("./images/../../sa_1.jpg", "plain file name"),
    "folder": ("images/sa_1.jpg", "plain file name"),
    "dots": ("..", "plain file name"),
    "backslash": ("..\\sa_1.jpg", "plain file name"),
    "hidden": ("./.sa_1.jpg", "plain file name"),
    "newline": ("sa_1\n.jpg", "plain file name"),
    "not ascii": ("sa_①.jpg", "plain file name"),
    "script": ("./sa_1.sh", "neither an image nor an annotation"),
    "no ending": ("sa_1", "neither an image nor an annotation"),
    "symbolic link": (special("sa_1.jpg", tarfile.SYMTYPE, "/etc/passwd"), "not a plain file"),
    "hard link": (special("sa_1.jpg", tarfile.LNKTYPE, "sa_2.jpg"), "not a plain file"),
    "device": (special("sa_1.jpg", tarfile.CHRTYPE), "not a plain file"),
    "pipe": (special("sa_1.jpg", tarfile.FIFOTYPE), "not a plain file"),
    "with holes": (special("sa_1.jpg", tarfile.GNUTYPE_SPARSE), "not a plain file"),
    "twice": ("sa_2.jpg", "is there twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_member_is_refused_alone(tmp_path, name):
    header, reason = HOSTILE[name]
    index = scan_tar(write_tar(tmp_path / "a.tar", [*SOUND, (header, b"bad")]))
    assert len(index.members) == 3
    ((refused, why),) = index.refused
    assert reason in why
    assert refused == (header if isinstance(header, str) else header.name)
    by_name = {member.name: member for member in index.members}
    assert read_member(tmp_path / "a.tar", by_name["sa_2.jpg"]) == b"image two"


@given(st.text(min_size=1, max_size=60).filter(lambda name: "\0" not in name))
def test_no_name_leads_out_of_the_folder(tmp_path_factory, name):
    tar = tmp_path_factory.mktemp("tar") / "a.tar"
    try:
        write_tar(tar, [(name, b"x"), (f"{name}.jpg", b"x")])
    except UnicodeEncodeError:
        return
    for member in scan_tar(tar).members:
        assert (tar.parent / member.name).resolve().parent == tar.parent.resolve()
        assert member.name.isascii() and member.name.isprintable()


def test_member_that_claims_too_much(tmp_path):
    header = tarfile.TarInfo("sa_1.jpg")
    header.size = LARGEST_MEMBER + 1
    tar = tmp_path / "a.tar"
    with tar.open("wb") as file:
        file.write(header.tobuf())
        file.truncate(512 + LARGEST_MEMBER + 512 + 1024)  # sparse: takes no room
    ((_, why),) = scan_tar(tar).refused
    assert "claims" in why


def test_index_is_kept_and_made_anew_when_the_tar_changes(tar, monkeypatch):
    first = index_tar(tar)
    kept = tar.with_name("sa_000020.tar.index.json")
    assert kept.is_file()
    with monkeypatch.context() as without_tarfile:
        without_tarfile.setattr(tarfile, "open", None)
        assert index_tar(tar) == first
    write_tar(tar, SOUND[:2])
    os.utime(tar, ns=(1, 1))
    assert len(index_tar(tar).members) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"stamp": 1}'])
def test_damaged_index_is_made_anew(tar, damage):
    first = index_tar(tar)
    kept = tar.with_name("sa_000020.tar.index.json")
    kept.write_text(damage)
    assert index_tar(tar) == first
    assert json.loads(kept.read_text())["members"]


def test_index_goes_to_the_cache_where_the_folder_cannot_be_written(tar, tmp_path, monkeypatch):
    tar.with_name("sa_000020.tar.index.json").mkdir()  # stands in for a read-only folder, also for root
    first = index_tar(tar)
    (kept,) = (tmp_path / "cache" / "edge_sam").iterdir()
    assert kept.name.endswith("_sa_000020.tar.index.json")
    monkeypatch.setattr(tarfile, "open", None)
    assert index_tar(tar) == first


def test_index_goes_nowhere_when_nothing_can_be_written(tar, tmp_path, monkeypatch):
    tar.with_name("sa_000020.tar.index.json").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(index_tar(tar).members) == 3


def test_index_goes_where_it_is_told(tar, tmp_path):
    index_tar(tar, tmp_path / "elsewhere")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    assert [path.name for path in tar.parent.iterdir()] == [tar.name]


@pytest.mark.parametrize("cut", [0, 100, 512, 515, 1024, 1536, -9000])
def test_truncated_tar_is_told(tmp_path, cut):
    tar = write_tar(tmp_path / "a.tar", [("sa_1.jpg", b"x" * 600), ("sa_1.json", b"y" * 600)])
    tar.write_bytes(tar.read_bytes()[:cut])
    with pytest.raises(EdgeSamError, match=r"a\.tar: not a whole, uncompressed tar"):
        scan_tar(tar)


def test_damaged_header_is_told(tmp_path):
    tar = write_tar(tmp_path / "a.tar", [("sa_1.jpg", b"x" * 600), ("sa_1.json", b"y" * 600)])
    content = bytearray(tar.read_bytes())
    content[1536 + 150] ^= 0xFF  # the checksum of the second header
    tar.write_bytes(content)
    with pytest.raises(EdgeSamError, match="no header and no end at byte 1536"):
        scan_tar(tar)


def test_compressed_or_missing_tar_is_told(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz"):
        pass
    with pytest.raises(EdgeSamError, match="uncompressed"):
        index_tar(tmp_path / "a.tar")
    with pytest.raises(EdgeSamError, match="cannot be read"):
        index_tar(tmp_path / "b.tar")


def test_reading_from_a_tar_that_shrank_or_went(tar):
    member = index_tar(tar).members[0]
    with pytest.raises(BrokenSample, match="ends within"):
        read_member(tar, Member(member.name, member.offset, 10**6))
    tar.unlink()
    with pytest.raises(BrokenSample, match="cannot be read"):
        read_member(tar, member)
