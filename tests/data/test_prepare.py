"""Laying out SA-1B: from tars at hand and from a link file, stopped and continued, with bad content."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge_sam.atomic_writing import TEMPORARY_SUFFIX
from edge_sam.data import prepare
from edge_sam.data.prepare import prepare_sa1b, read_links
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.transforms import decode_image
from edge_sam.errors import EdgeSamError
from tests.data.tar_files import sa1b_members, write_tar
from tests.lock_holder import held_by_another_process

NAMES = ("sa_000001.tar", "sa_000002.tar")


@pytest.fixture
def tars(tmp_path) -> Path:
    """Two tars of three images each, named in a list beside them."""
    folder = tmp_path / "tars"
    members = sa1b_members(tmp_path / "drawn", 6, seed=1)
    write_tar(folder / NAMES[0], members[:6])
    write_tar(folder / NAMES[1], members[6:])
    (folder / "sa_train_subset.txt").write_text("\n".join(NAMES))
    return folder


@pytest.fixture
def subset(tars) -> Path:
    return tars / "sa_train_subset.txt"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("images", "annotations")
        for path in sorted((folder / kind).rglob("*"))
        if path.is_file()
    }


def refusals(report) -> dict[str, str]:
    return {refused.name: refused.reason for refused in report.refused}


def test_layout_is_that_of_the_drawn_files(tars, tmp_path):
    report = prepare_sa1b(tars, tmp_path / "out", "train")
    assert files(tmp_path / "out") == files(tmp_path / "drawn")
    assert (report.images, report.finished_before, report.tars, report.refused) == (6, 0, NAMES, ())
    assert report.describe() == "6 images with annotations from 2 tars, nothing refused"
    assert report.refused_file.read_text() == ""
    assert all((tars / name).is_file() for name in NAMES)
    assert len(Sa1bDataset(tmp_path / "out", "train", 64)) == 6


def test_finished_tars_are_not_opened_again(tars, tmp_path, monkeypatch):
    prepare_sa1b(tars, tmp_path / "out", "train")
    monkeypatch.setattr(prepare, "scan_tar", None)
    report = prepare_sa1b(tars, tmp_path / "out", "train")
    assert (report.images, report.finished_before) == (6, 2)
    assert "(2 of them finished before)" in report.describe()


def test_bad_content_is_refused_and_listed(tars, subset, tmp_path):
    members = dict(sa1b_members(tmp_path / "more", 8, seed=2))
    tree = json.loads(members["./sa_2_001.json"])
    tree["annotations"][0] |= {"id": 5, "bbox": [0, 0, -1, 1]}
    members["./sa_2_000.jpg"] = members["./sa_2_000.jpg"][:3000]
    members["./sa_2_001.json"] = json.dumps(tree).encode()
    members["./sa_2_002.json"] = members["./sa_2_003.json"]
    members["./sa_2_004.json"] = b"{"
    del members["./sa_2_005.json"], members["./sa_2_006.jpg"]
    write_tar(tars / NAMES[1], [*members.items(), ("../evil.jpg", b""), ("run.sh", b"")])
    report = prepare_sa1b(tars, tmp_path / "out", "train", subset)
    told = refusals(report)
    assert {name: reason for name, reason in told.items() if name in ("../evil.jpg", "run.sh")} == {
        "../evil.jpg": "is not a plain file name without folders",
        "run.sh": "is neither an image nor an annotation file",
    }
    assert "cannot be decoded" in told["sa_2_000"]
    assert told["sa_2_001"] == "annotation 5: bbox [0, 0, -1, 1] has no area"
    assert told["sa_2_002"] == "annotation file is that of sa_2_003.jpg"
    assert "not JSON" in told["sa_2_004"]
    assert told["sa_2_005.jpg"] == "has no annotation file"
    assert told["sa_2_006.json"] == "has no image"
    assert len(told) == 8
    laid_out = sorted(Path(name).stem for name in files(tmp_path / "out") if "sa_2_" in name)
    assert laid_out == ["sa_2_001"] * 2 + ["sa_2_003"] * 2 + ["sa_2_007"] * 2
    assert report.images == 6
    assert "8 refused (see" in report.describe()
    lines = [json.loads(line) for line in report.refused_file.read_text().splitlines()]
    assert {line["name"]: line["reason"] for line in lines} == told
    assert {(line["split"], line["tar"]) for line in lines} == {("train", NAMES[1])}


def test_image_of_another_size_is_refused(tars, tmp_path):
    members = dict(sa1b_members(tmp_path / "more", 2, seed=2))
    tree = json.loads(members["./sa_2_000.json"])
    tree["image"]["width"] -= 1
    for entry in tree["annotations"]:
        entry["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    members["./sa_2_000.json"] = json.dumps(tree).encode()
    write_tar(tars / NAMES[1], members.items())
    told = refusals(prepare_sa1b(tars, tmp_path / "out", "train"))
    assert told == {"sa_2_000": "image is 256 x 192 pixels, its annotation file speaks of 255 x 192"}


class _Killed(BaseException):
    """Stands in for the end of the process."""


@pytest.mark.parametrize("after", range(1, 12, 3))
def test_a_stopped_run_goes_on(tars, tmp_path, monkeypatch, after):
    written = []
    original = prepare.write_atomically

    def write_until_killed(path, content):
        written.append(path)
        if len(written) > after:
            (path.parent / f".{path.name}.x{TEMPORARY_SUFFIX}").write_bytes(content[:10])
            raise _Killed
        original(path, content)

    with monkeypatch.context() as killing:
        killing.setattr(prepare, "write_atomically", write_until_killed)
        with pytest.raises(_Killed):
            prepare_sa1b(tars, tmp_path / "out", "train", workers=1)
    assert not any(name.endswith(".tar.json") for name in files(tmp_path / "out"))
    decoded = []
    monkeypatch.setattr(prepare, "decode_image", lambda content: decoded.append(1) or decode_image(content))
    report = prepare_sa1b(tars, tmp_path / "out", "train")
    assert report.images == 6
    assert files(tmp_path / "out") == files(tmp_path / "drawn")
    # Two writes an image, and one for the note of the first tar: whole pairs are not checked again.
    assert len(decoded) == 6 - min(after, 6) // 2 - max(after - 7, 0) // 2


def test_files_of_others_are_not_overwritten(tars, tmp_path):
    mine = tmp_path / "out" / "images" / "train" / "sa_1_000.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    told = refusals(prepare_sa1b(tars, tmp_path / "out", "train"))
    assert list(told) == ["sa_1_000"]
    assert "is there already, with other content" in told["sa_1_000"]
    assert mine.read_bytes() == b"mine"


def test_removed_images_are_noticed(tars, tmp_path):
    prepare_sa1b(tars, tmp_path / "out", "train")
    next((tmp_path / "out" / "images" / "train").iterdir()).unlink()
    with pytest.raises(EdgeSamError, match=r"holds 5 images, but 6 were laid out.*remove .*\.prepared/train"):
        prepare_sa1b(tars, tmp_path / "out", "train")


def test_a_damaged_note_is_named_and_can_be_removed(tars, tmp_path):
    prepare_sa1b(tars, tmp_path / "out", "train")
    note = next((tmp_path / "out" / ".prepared" / "train").glob("*.json"))
    note.write_text("{")
    with pytest.raises(EdgeSamError, match=rf"{note.name}: damaged; remove it"):
        prepare_sa1b(tars, tmp_path / "out", "train")
    note.unlink()
    assert prepare_sa1b(tars, tmp_path / "out", "train").images == 6


def test_two_runs_at_once(tars, tmp_path):
    (tmp_path / "out" / ".prepared" / "train").mkdir(parents=True)
    with (
        held_by_another_process(tmp_path / "out" / ".prepared" / "train" / "lock"),
        pytest.raises(EdgeSamError, match="another run is preparing this split"),
    ):
        prepare_sa1b(tars, tmp_path / "out", "train")
    prepare_sa1b(tars, tmp_path / "out", "train")


def test_disk_too_small(tars, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(prepare.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EdgeSamError, match=r"sa_000001\.tar needs 0\.0 GB, the disk has"):
        prepare_sa1b(tars, tmp_path / "out", "train")
    assert files(tmp_path / "out") == {}


def test_wrong_sources(tars, tmp_path):
    with pytest.raises(EdgeSamError, match="split is 'test'"):
        prepare_sa1b(tars, tmp_path / "out", "test")
    with pytest.raises(EdgeSamError, match="workers is -1; it should be at least 1"):
        prepare_sa1b(tars, tmp_path / "out", "train", workers=-1)
    with pytest.raises(EdgeSamError, match="neither a folder of tars nor a link file"):
        prepare_sa1b(tmp_path / "nowhere.txt", tmp_path / "out", "train")
    write_tar(tars / NAMES[0], [("sa_1.jpg", b""), ("sa_1.json", b"")])
    (tars / "sa_train_subset.txt").write_text(NAMES[0])
    with pytest.raises(EdgeSamError, match=r"not one usable image in 1 tars; .*refused\.jsonl says why"):
        prepare_sa1b(tars, tmp_path / "out", "train")
    (tars / NAMES[0]).write_bytes(b"x" * 10_000)
    with pytest.raises(EdgeSamError, match=r"sa_000001\.tar: not a whole"):
        prepare_sa1b(tars, tmp_path / "other", "train")
    assert (tars / NAMES[0]).exists()  # the user's own
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeSamError, match="cannot be written"):
        prepare_sa1b(tars, tmp_path / "file", "train")


def link_file(path: Path, links: dict[str, str], head: str = "file_name\tcdn_link") -> Path:
    path.write_text("\n".join([head, *(f"{name}\t{link}" for name, link in links.items())]) + "\n")
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "first line should be"),
        ("sa_1.tar\thttp://x", "first line should be"),
        ("file_name\tcdn_link\nsa_1.tar http://x", "line 2 should be"),
        ("file_name\tcdn_link\n\n../sa_1.tar\thttp://x", "line 3 should be"),
        ("file_name\tcdn_link\nsa_1.zip\thttp://x", "line 2 should be"),
        ("file_name\tcdn_link\nsa_1.tar\t", "line 2 should be"),
        ("file_name\tcdn_link\nsa_1.tar\tftp://x", "line 2 should be"),
    ],
)
def test_wrong_link_files(tmp_path, content, reason):
    (tmp_path / "links.txt").write_text(content)
    with pytest.raises(EdgeSamError, match=reason):
        read_links(tmp_path / "links.txt")


def test_a_link_file_of_windows_is_read(tmp_path):
    (tmp_path / "links.txt").write_bytes(b"\xef\xbb\xbffile_name\tcdn_link\r\nsa_1.tar\thttp://x\r\n")
    assert read_links(tmp_path / "links.txt") == {"sa_1.tar": "http://x"}


class _Handler(SimpleHTTPRequestHandler):
    asked: list[str]
    expired = False

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if type(self).expired:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(tars) -> Iterator[type]:
    handler = type("Handler", (_Handler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tars))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        base = f"http://127.0.0.1:{running.server_address[1]}"
        handler.links = {name: f"{base}/{name}?Expires=1&Signature=secret" for name in (*NAMES, "sa_000099.tar")}
        yield handler
        running.shutdown()
        thread.join()


def test_links_are_downloaded_laid_out_and_cleared_away(server, tmp_path, subset):
    links = link_file(tmp_path / "links.txt", server.links)
    report = prepare_sa1b(links, tmp_path / "out", "train", subset)
    assert report.images == 6
    assert files(tmp_path / "out") == files(tmp_path / "drawn")
    assert [path.partition("?")[0] for path in server.asked] == [f"/{name}" for name in NAMES]
    assert not list((tmp_path / "out" / ".prepared").rglob("*.tar"))
    prepare_sa1b(links, tmp_path / "out", "train", subset)
    assert len(server.asked) == 2
    prepare_sa1b(links, tmp_path / "kept", "train", subset, keep_tars=True)
    assert len(list((tmp_path / "kept" / ".prepared").rglob("*.tar"))) == 2


def test_expired_link_is_explained_and_a_new_file_goes_on(server, tmp_path, subset):
    links = link_file(tmp_path / "links.txt", server.links)
    (tmp_path / "one.txt").write_text(NAMES[0])
    prepare_sa1b(links, tmp_path / "out", "train", tmp_path / "one.txt")
    server.expired = True
    with pytest.raises(EdgeSamError, match=r"sa_000002\.tar: .*403.*expire.*https://ai\.meta\.com") as caught:
        prepare_sa1b(links, tmp_path / "out", "train", subset)
    assert "secret" not in str(caught.value)
    server.expired = False
    assert prepare_sa1b(links, tmp_path / "out", "train", subset).finished_before == 1


def test_names_without_a_link_are_listed(server, tmp_path, subset):
    links = link_file(tmp_path / "links.txt", {NAMES[0]: server.links[NAMES[0]]})
    with pytest.raises(EdgeSamError, match=r"no link for 1 of the 2 tars of the train split: sa_000002\.tar"):
        prepare_sa1b(links, tmp_path / "out", "train", subset)
    with pytest.raises(EdgeSamError, match=r"no link for 10 of the 10 tars.*sa_000020\.tar, .*sa_000029\.tar"):
        prepare_sa1b(links, tmp_path / "out", "train")
    assert server.asked == []


def test_damaged_download_is_fetched_anew(server, tmp_path, subset, tars):
    links = link_file(tmp_path / "links.txt", server.links)
    sound = (tars / NAMES[0]).read_bytes()
    (tars / NAMES[0]).write_bytes(sound[:5000])
    with pytest.raises(EdgeSamError, match="not a whole"):
        prepare_sa1b(links, tmp_path / "out", "train", subset)
    (tars / NAMES[0]).write_bytes(sound)
    assert prepare_sa1b(links, tmp_path / "out", "train", subset).images == 6


def test_progress_is_told_in_lines(server, tmp_path, subset, capsys):
    prepare_sa1b(link_file(tmp_path / "links.txt", server.links), tmp_path / "out", "train", subset)
    told = capsys.readouterr().out
    assert "sa_000001.tar (1/2): 3/3" in told
    assert "sa_000002.tar (2/2): 0 of 0 MB" in told
