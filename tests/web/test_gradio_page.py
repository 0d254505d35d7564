"""The demo on a server, where Gradio is installed (`pip install 'edge-sam[web-demo]'`)."""

import base64
import importlib
import io
import json
import socket
from pathlib import Path

import pytest
from PIL import Image

from edge_sam.runtime.predictor import GraphPredictor
from edge_sam.web.click_session import Clicks, SharedPredictor
from tests.runtime.graphs import disc_graphs

gradio = pytest.importorskip("gradio")
httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def app():
    return importlib.import_module("edge_sam.web.gradio_page")


@pytest.fixture(scope="module")
def address(app):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = app.make_page(SharedPredictor(GraphPredictor(disc_graphs())))
    yield app.launch(page, "127.0.0.1", port, wait=False)
    page.close()


def png(width=80, height=60) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(file, "PNG")
    return file.getvalue()


def upload(address, content):
    return httpx.post(f"{address}gradio_api/upload", files={"files": ("a.png", content)}, timeout=60)


def embed(address, path, **more) -> str:
    """Ask the server to embed a file, and return the name of the event that comes back."""
    data = [{"path": path and str(path), "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}, **more}]
    asked = httpx.post(f"{address}gradio_api/call/embed", json={"data": data}, timeout=60)
    answer = httpx.get(f"{address}gradio_api/call/embed/{asked.json()['event_id']}", timeout=60).text
    return answer.splitlines()[0].removeprefix("event: ")


@pytest.mark.slow
def test_uploads_are_taken_up_to_a_size(app, address):
    answer = upload(address, png())
    assert answer.status_code == 200
    assert embed(address, answer.json()[0]) == "complete"
    assert upload(address, bytes(app.LARGEST_UPLOAD + 2**20)).status_code == 413


@pytest.mark.slow
def test_no_picture_is_taken_out_of_an_event(address):
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    assert embed(address, None, url=url) == "error"
    inside = upload(address, png()).json()[0]
    assert embed(address, inside, url=f"{address}gradio_api/file={inside}") == "complete"  # as the page asks


@pytest.mark.slow
def test_no_picture_is_fetched(address, tmp_path, monkeypatch):
    fetched = []

    async def fetch(url, **_):
        fetched.append(url)
        (tmp_path / "fetched.png").write_bytes(png())
        return str(tmp_path / "fetched.png")

    monkeypatch.setattr(gradio.processing_utils, "async_ssrf_protected_download", fetch)
    for url in ("http://example.org/huge.png", "HTTPS://example.org/huge.png"):
        assert embed(address, url) == "error"
    assert fetched == []


@pytest.mark.slow
def test_long_requests_are_refused_wherever_they_go(app, address):
    def pieces():
        for _ in range(app.LARGEST_REQUEST // 2**20 + 1):
            yield bytes(2**20)

    whole = bytes(app.LARGEST_REQUEST + 1)
    for path in ("call/embed", "queue/join"):
        for content in (whole, pieces()):  # with its length said before, and without
            headers = {"content-type": "application/json"}
            assert httpx.post(f"{address}gradio_api/{path}", content=content, headers=headers).status_code == 413, path
    assert upload(address, png()).status_code == 200


@pytest.mark.slow
def test_no_file_outside_of_the_uploads_is_read_or_served(address, tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(png())
    for path in (outside, Path(__file__), Path("/etc/passwd")):
        assert httpx.get(f"{address}gradio_api/file={path}").status_code in (403, 404)
    inside = json.loads(upload(address, png()).text)[0]
    assert httpx.get(f"{address}gradio_api/file={inside}").status_code == 200
    climbing = f"{Path(inside).parent}/../../../{outside}"
    assert httpx.get(f"{address}gradio_api/file={climbing}").status_code in (403, 404)
    assert embed(address, outside) == "error"


class Visitor:
    """What the page's script does: events with the visitor's state on the server."""

    def __init__(self, address, name="visitor"):
        self.address, self.name = f"{address}gradio_api/", name
        self.functions = {it["api_name"]: it["id"] for it in httpx.get(f"{address}config").json()["dependencies"]}

    def trigger(self, name, data, event=None):
        body = {"fn_index": self.functions[name], "data": data, "event_data": event, "session_hash": self.name}
        assert httpx.post(f"{self.address}queue/join", json=body, timeout=60).status_code == 200
        lines = httpx.get(f"{self.address}queue/data", params={"session_hash": self.name}, timeout=60).text.splitlines()
        told = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
        done = next(message for message in told if message["msg"] == "process_completed")
        assert done["success"], done
        return done["output"]["data"]


@pytest.mark.slow
def test_a_click_in_the_page_draws_a_mask(address):
    visitor = Visitor(address)
    path = upload(address, png()).json()[0]
    visitor.trigger("embed", [{"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}])
    visitor.trigger("add_click", [None, None, "add"], {"index": [40, 30], "value": None})
    image, line = visitor.trigger("answer", [None, None, 3])
    assert line.startswith("score 3.00")
    drawn = Image.open(io.BytesIO(httpx.get(image["url"]).content))
    assert drawn.size == (80, 60)
    assert drawn.convert("RGB").getpixel((40, 24)) != drawn.convert("RGB").getpixel((2, 2))


@pytest.mark.slow
def test_who_was_idle_longest_is_forgotten_when_many_come(app, address):
    picture = {"path": upload(address, png()).json()[0], "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    visitors = [Visitor(address, f"visitor {number}") for number in range(app.MOST_VISITORS + 1)]
    for visitor in visitors:
        visitor.trigger("embed", [picture])
    click = ([None, None, "add"], {"index": [40, 30], "value": None})
    visitors[-1].trigger("add_click", *click)
    with pytest.raises(AssertionError, match="choose a photograph first"):
        visitors[0].trigger("add_click", *click)


def test_clicks_draw_masks(app, tmp_path):
    shared = SharedPredictor(GraphPredictor(disc_graphs()))
    (tmp_path / "a.png").write_bytes(png())
    picture = shared.embed(tmp_path / "a.png")
    event = gradio.SelectData(None, {"index": (40, 30), "value": None})
    clicks = app.add_click(picture, Clicks(), "add", event)
    assert clicks.points == ((40.5, 30.5, 1),)
    drawn, line = app.show(shared, picture, clicks, 3)
    assert drawn.size == (80, 60) and line.startswith("score 3.00")
    assert app.show(shared, None, clicks, 3) == (gradio.skip(), "")
    with pytest.raises(app.EdgeSamError, match="choose a photograph"):
        app.add_click(None, Clicks(), "add", event)
