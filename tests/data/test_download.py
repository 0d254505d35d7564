"""Downloads against servers on the loopback: with and without ranges, cut, refusing, wrong."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from edge_sam.data.download import HttpRefusal, download, download_checkpoint
from edge_sam.errors import EdgeSamError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT`` as the attributes say and notes every Range header."""

    ranges = True
    tells_length = True
    cut_after: int | None = None
    cuts = 0
    status = 200
    failures = 0
    shift = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/model_{SHA256[:6]}.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status != 200 and server.failures > 0:
            server.failures -= 1
            self.send_error(server.status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = CONTENT[start + server.shift :]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start + server.shift}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            body = body[: server.cut_after]
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server, tmp_path, **options):
    return download(server.url, tmp_path / "new" / "file.bin", wait=0.01, **options)


def test_downloads_whole(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path, sha256_prefix=SHA256[:6], progress=lambda have, whole: seen.append((have, whole)))
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert server.asked == [None]


@pytest.mark.parametrize("tells_length", [True, False])
def test_cut_connections_are_continued(server, tmp_path, tells_length):
    server.cut_after, server.cuts, server.tells_length = 400_000, 4, tells_length
    if tells_length:
        assert fetch(server, tmp_path, attempts=2).read_bytes() == CONTENT
        assert server.asked == [None, *(f"bytes={n * 400_000}-" for n in range(1, 5))]
    else:  # nobody can see that something is missing: only the digits tell
        with pytest.raises(EdgeSamError, match="SHA-256"):
            fetch(server, tmp_path, sha256_prefix=SHA256[:6])


def test_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges = False
    server.cut_after, server.cuts = 400_000, 2
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-", "bytes=400000-"]


def test_gives_up_and_goes_on_in_another_call(server, tmp_path):
    server.cut_after, server.cuts = 0, 100
    part = tmp_path / "new" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1234])
    with pytest.raises(EdgeSamError, match="1234 of 3000000 bytes, 3 times in a row; 1234 bytes are kept"):
        fetch(server, tmp_path, attempts=3)
    assert part.read_bytes() == CONTENT[:1234]
    server.cuts = 0
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1234-"] * 4


def test_complete_part_is_taken(server, tmp_path):
    part = tmp_path / "new" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert fetch(server, tmp_path, sha256_prefix=SHA256).read_bytes() == CONTENT


def test_part_that_is_too_long_is_thrown_away(server, tmp_path):
    part = tmp_path / "new" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT + b"more")
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_wrong_digits_delete_the_part(server, tmp_path):
    with pytest.raises(EdgeSamError, match=f"begins with {SHA256[:8]}, not with 123456"):
        fetch(server, tmp_path, sha256_prefix="123456")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_is_told_at_once(server, tmp_path, status):
    server.status, server.failures = status, 9
    with pytest.raises(HttpRefusal, match=f"HTTP status {status}") as caught:
        download(f"{server.url}?signature=secret", tmp_path / "file.bin")
    assert caught.value.status == status
    assert "secret" not in str(caught.value)
    assert server.asked == [None]


def test_busy_server_is_asked_again(server, tmp_path):
    server.status, server.failures = 503, 2
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    server.failures = 9
    with pytest.raises(EdgeSamError, match="HTTP status 503"):
        fetch(server, tmp_path, attempts=2)


def test_wrong_part_of_the_file_is_not_appended(server, tmp_path):
    part = tmp_path / "new" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    server.shift = 5
    with pytest.raises(EdgeSamError, match="asked for byte 1000 on, the server sent bytes 1005"):
        fetch(server, tmp_path, attempts=2)
    assert part.read_bytes() == CONTENT[:1000]


def test_nobody_there(tmp_path):
    with Server() as gone:
        url = gone.url
    with pytest.raises(EdgeSamError, match="no answer"):
        download(url, tmp_path / "file.bin", attempts=2, wait=0.01)
    for wrong in ("file:///etc/passwd", "model.pth"):
        with pytest.raises(EdgeSamError, match="not an address"):
            download(wrong, tmp_path / "file.bin")
    with pytest.raises(EdgeSamError, match="not an address"):
        download("http://127.0.0.1:port/x", tmp_path / "file.bin", attempts=1)


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "new").write_text("a file")
    with pytest.raises(EdgeSamError, match="cannot be written"):
        fetch(server, tmp_path)


def test_checkpoint(server, tmp_path):
    name = f"model_{SHA256[:6]}.pth"
    official = "http://127.0.0.1:9/never"
    base = server.url.rpartition("/")[0] + "/"
    path = download_checkpoint("model", name, official, SHA256[:6], tmp_path / "weights", base)
    assert path == tmp_path / "weights" / name
    assert path.read_bytes() == CONTENT
    assert download_checkpoint("model", name, official, SHA256[:6], tmp_path / "weights") == path
    assert len(server.asked) == 1
    path.write_bytes(b"something else")
    with pytest.raises(EdgeSamError, match="not the official model"):
        download_checkpoint("model", name, official, SHA256[:6], tmp_path / "weights")
    assert path.read_bytes() == b"something else"
