"""The page in a real browser, moved by a real mouse, fingers and keys, against Python on the same model.

Needs Chromium, and npm for onnxruntime-web's files (or these in the user's cache).
"""

import functools
import http.server
import json
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.cli import main
from edge_sam.errors import EdgeSamError
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.registry import build_sam
from edge_sam.synthesis.scene import draw_scene
from edge_sam.web import onnxruntime_web
from tests.modeling.test_folding import with_lively_norms
from tests.web.conftest import program
from tests.web.devtools import Page, running

pytestmark = pytest.mark.slow

SIZE = 128
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def chromium() -> str:
    return program("chromium")


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    made = build_sam("rep_vit_m1", SIZE).eval()
    with_lively_norms(made.image_encoder)
    return made


@pytest.fixture(scope="module")
def site(chromium, sam, tmp_path_factory):
    """What `edgesam web` builds."""
    folder = tmp_path_factory.mktemp("site")
    try:
        onnxruntime_web.runtime_files()
    except EdgeSamError as error:
        if "npm" not in str(error):
            raise
        pytest.skip(f"needs onnxruntime-web: {error}")
    sam.save_pretrained(folder / "model")
    main(["web", "--checkpoint", str(folder / "model"), "--out", str(folder / "page"), "--num-images", "1"])
    return folder / "page"


@pytest.fixture(scope="module")
def server(site):
    """The page's address, and what was asked of its server."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/", asked
        served.shutdown()


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with running(chromium, folder / "profile") as started:
        (folder / "downloads").mkdir()
        started.download_to(folder / "downloads")
        started.downloads = folder / "downloads"
        yield started


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A photograph of the procedural data set, as PNG; and the same lying on its side, with EXIF to turn it upright."""
    folder = tmp_path_factory.mktemp("photographs")
    scenes = (draw_scene(0, index, 300).image for index in range(99))
    image = Image.fromarray(next(scene for scene in scenes if scene.shape[0] < scene.shape[1]))
    image.save(folder / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", quality=98, subsampling=0, exif=exif)
    return folder


@pytest.fixture
def page(browser, server):
    tab = browser.new_page()
    tab.resize(1280, 800)
    tab.open(server[0])
    tab.wait_for("document.body.dataset.backend")
    yield tab
    assert browser.complaints() == []
    tab.call("Page.close")


def show(page: Page, path) -> tuple[float, float, float]:
    """Open an upright photograph; return its left and top in the window, and its pixels a pixel of the window."""
    page.choose_file("#file", path)
    page.wait_for(f"{STATUS}.startsWith('Ready')")
    left, top, width, _ = page.frame("#canvas")
    return left, top, Image.open(path).size[0] / width


def downloaded(page: Page, selector: str, name: str):
    path = page.browser.downloads / name
    path.unlink(missing_ok=True)
    page.click_on(selector)
    page.wait_for(f"{STATUS} === '{name} was handed to your browser.'")
    end = time.monotonic() + 60
    while not path.is_file() or not path.stat().st_size:
        assert time.monotonic() < end, f"{name} was not downloaded"
        time.sleep(0.05)
    return path


def coco_masks(page: Page, name: str) -> list[np.ndarray]:
    content = json.loads(downloaded(page, "#coco", name).read_text())
    return [mask_utils.decode(annotation["segmentation"]).astype(bool) for annotation in content["annotations"]]


def answered(page: Page, number: int) -> None:
    page.wait_for(f"{STATUS}.startsWith('Mask {number}: score')")
    page.evaluate("document.getElementById('status').textContent = ''")


def iou(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape and a.any() and not a.all()
    return float((a & b).sum() / (a | b).sum())


def test_masks_are_those_of_python(page, sam, photograph):
    path = photograph / "upright.png"
    left, top, scale = show(page, path)
    predictor = SamPredictor(sam)
    predictor.set_image(Image.open(path))

    def on_screen(x, y):
        return left + x / scale, top + y / scale

    def expect(found, **prompts):
        assert iou(found, predictor.predict(**prompts, num_multimask_outputs=1)[0][0]) >= 0.99

    first, second = (120.0, 90.0), (40.0, 150.0)
    page.click(*on_screen(*first))
    answered(page, 1)
    expect(coco_masks(page, "upright.json")[0], point_coords=[first], point_labels=[1])
    page.click(*on_screen(*second), button="right")
    answered(page, 1)
    page.click_on("#add-object")
    page.drag(on_screen(30, 20), on_screen(230, 140))
    answered(page, 2)
    masks = coco_masks(page, "upright.json")
    expect(masks[0], point_coords=[first, second], point_labels=[1, 0])
    expect(masks[1], box=[30, 20, 230, 140])

    page.click_on("#counts label:nth-of-type(2) span")
    page.wait_for("document.querySelectorAll('#candidates button').length === 3")
    candidates, scores, _ = predictor.predict(box=[30, 20, 230, 140], num_multimask_outputs=3)
    best = scores.argmax()
    shown = page.evaluate("[...document.querySelectorAll('#candidates button')].map((it) => Number(it.textContent))")
    np.testing.assert_allclose(shown, scores, atol=0.0051)  # two digits
    png = np.asarray(Image.open(downloaded(page, "#png", "upright_mask_2.png")))
    assert iou(png, candidates[best]) >= 0.99
    page.click_on(f"#candidates button:nth-child({(best + 1) % 3 + 1})")
    png = np.asarray(Image.open(downloaded(page, "#png", "upright_mask_2.png")))
    assert iou(png, candidates[(best + 1) % 3]) >= 0.99


def test_the_mouse_shows_what_a_click_would_take(page, photograph):
    left, top, scale = show(page, photograph / "upright.png")
    drawn = "document.querySelector('#canvas').toDataURL()"
    before = page.evaluate(drawn)
    page.move(left + 120 / scale, top + 90 / scale)
    page.wait_for(f"{drawn} !== '{before}'")
    page.move(2, 2)
    page.wait_for(f"{drawn} === '{before}'")
    assert page.evaluate("document.querySelector('#undo').disabled")


def test_the_keyboard_does_all(page, photograph):
    show(page, photograph / "upright.png")
    assert page.evaluate("document.activeElement.id") == "canvas"
    page.press("ArrowRight")
    page.press("ArrowUp", shift=True)
    page.press("Enter")
    answered(page, 1)
    page.press("ArrowLeft")
    page.press("-")
    answered(page, 1)
    page.press("b")
    for _ in range(5):
        page.press("ArrowDown")
        page.press("ArrowRight")
    page.press("b")
    answered(page, 1)
    page.press("n")
    page.press("3")
    page.press("+")
    answered(page, 2)
    page.wait_for("document.querySelectorAll('#candidates button').length === 3")
    chosen = "[...document.querySelectorAll('#candidates button')].findIndex((it) => it.ariaPressed === 'true')"
    before = page.evaluate(chosen)
    page.press("]")
    page.wait_for(f"{chosen} === {(before + 1) % 3}")
    assert len(page.evaluate("[...document.querySelectorAll('#objects li')].map((it) => it.textContent)")) == 2
    page.press("Delete")
    page.wait_for("document.querySelectorAll('#objects li').length === 1")
    for _ in range(20):
        page.press("z", control=True)
    page.wait_for("document.querySelector('#undo').disabled")
    assert page.evaluate("document.querySelector('.object small').textContent") == "empty"
    page.press("?")
    page.wait_for("document.querySelector('#help').open")
    page.press("Escape")
    page.wait_for("!document.querySelector('#help').open")


def test_fingers_on_a_phone_and_a_photograph_that_lies_on_its_side(page, sam, photograph):
    page.resize(390, 844, density=3, phone=True)
    path = photograph / "turned.jpg"
    page.choose_file("#file", path)
    page.wait_for(f"{STATUS}.startsWith('Ready')")
    predictor = SamPredictor(sam)
    predictor.set_image(Image.open(path))
    height, width = predictor.original_size
    assert width > height
    page.centre("#canvas")  # scrolls there
    left, top, shown, _ = page.frame("#canvas")
    assert left >= 0 and left + shown <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    scale = width / shown
    page.tap(left + 120 / scale, top + 90 / scale)
    answered(page, 1)
    page.click_on("#add-object")
    page.click_on("#modes label:nth-of-type(3) span")
    page.centre("#canvas")
    left, top, *_ = page.frame("#canvas")
    page.swipe((left + 60 / scale, top + 30 / scale), (left + 240 / scale, top + 150 / scale))
    answered(page, 2)
    masks = coco_masks(page, "turned.json")
    for mask, prompts in zip(
        masks,
        ({"point_coords": [[120, 90]], "point_labels": [1]}, {"box": [60, 30, 240, 150]}),
        strict=True,
    ):
        assert iou(mask, predictor.predict(**prompts, num_multimask_outputs=1)[0][0]) >= 0.99


def test_another_visit_loads_nothing_large(page, server):
    asked = server[1]
    assert any(path.startswith("/network/encoder.onnx?sha256=") for path in asked)
    asked.clear()
    page.evaluate("document.body.dataset.earlier = true")
    page.open(server[0])
    page.wait_for("!document.body.dataset.earlier && document.body.dataset.backend")
    assert any("model.json" in path for path in asked)
    assert not any(path.startswith("/network/") or ".wasm?" in path for path in asked)


def test_what_is_no_picture_is_said_to_be_none(page, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    page.choose_file("#file", tmp_path / "notes.png")
    page.wait_for(f"{STATUS} === 'notes.png is not a picture that this browser can read.'")
    assert page.evaluate("document.getElementById('status').className") == "error"
