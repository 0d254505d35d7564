import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.export.parity import Parity
from edge_sam.export.run import ExportReport, MissedGateError
from edge_sam.web import build
from edge_sam.web.build import MANIFEST, PageRequest, build_page

RUNTIME = {f"ort.{name}.{kind}": f"{name} {kind}".encode() for name in ("wasm", "webgpu") for kind in ("js", "wasm")}
SAM = SimpleNamespace(image_size=64)


@pytest.fixture
def exported(monkeypatch) -> list[str]:
    """No network and no npm: the export writes these texts, and files beside them where a test wants some."""
    others: list[str] = []

    def export(sam, request, pictures, calibration):
        files = {}
        for part in ("encoder", "decoder"):
            files[part] = request.stem.with_name(f"{request.name}_{part}.onnx")
            files[part].write_text(f"{part} {request.quantization}")
        for name in others:
            (request.stem.parent / name).write_text("")
        request.parity_file.write_text(f"compared on {request.images}")
        report = ExportReport(files, Parity(1, 24, {}, 0.9995, 0.99, {}), {}, {}, request.parity_file)
        if request.max_miou_loss < report.parity.miou_loss:
            raise MissedGateError(report, request.max_miou_loss)
        return report

    monkeypatch.setattr(build, "export", export)
    monkeypatch.setattr(build.onnxruntime_web, "runtime_files", lambda source: RUNTIME)
    return others


def test_the_folder_holds_the_page_and_the_hashes_of_what_it_loads(exported, tmp_path):
    build_page(SAM, PageRequest(tmp_path / "page", "small", "int8"), [])
    folder = tmp_path / "page"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["name"] == "small" and manifest["image_size"] == 64 and manifest["quantization"] == "int8"
    described = [manifest["encoder"], manifest["decoder"], *(it["binary"] for it in manifest["runtimes"].values())]
    for file in described:
        content = (folder / file["path"]).read_bytes()
        assert file["bytes"] == len(content) and file["sha256"] == hashlib.sha256(content).hexdigest()
    assert (folder / manifest["encoder"]["path"]).read_text() == "encoder int8"
    assert all((folder / runtime["module"]).is_file() for runtime in manifest["runtimes"].values())
    page = (folder / "index.html").read_text()
    for name in ("style.css", "main.js"):
        assert f'"page/{name}"' in page and (folder / "page" / name).is_file()


def test_the_comparison_is_kept_in_the_folder(exported, tmp_path):
    page = tmp_path / "page"
    report = build_page(SAM, PageRequest(page, "small", images=Path("photographs")), [])
    assert report.parity_file.read_text() == "compared on photographs" and report.parity_file.is_relative_to(page)
    assert report.files == {part: page / "network" / f"{part}.onnx" for part in ("encoder", "decoder")}
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_the_comparison_of_a_missed_gate_stays_beside_the_folder(exported, tmp_path):
    kept = tmp_path / "page.parity.json"
    with pytest.raises(EdgeSamError, match=f"see {kept}$"):
        build_page(SAM, PageRequest(tmp_path / "page", "small", max_miou_loss=0), [])
    assert kept.read_text() == "compared on None" and not (tmp_path / "page").exists()


def test_nothing_is_loaded_from_elsewhere(exported, tmp_path):
    build_page(SAM, PageRequest(tmp_path, "small"), [])
    for source in [tmp_path / "index.html", *(tmp_path / "page").iterdir()]:
        text = source.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text, source


def test_an_earlier_page_is_replaced_and_nothing_else(exported, tmp_path):
    request = PageRequest(tmp_path / "page", "small")
    build_page(SAM, request, [])
    left_over = tmp_path / "page" / "network" / "older.onnx"
    left_over.write_text("")
    build_page(SAM, PageRequest(tmp_path / "page", "other"), [])
    assert not left_over.exists()
    assert json.loads((tmp_path / "page" / MANIFEST).read_text())["name"] == "other"
    (tmp_path / "mine.txt").write_text("precious")
    for place, message in ((tmp_path, "holds other files"), (tmp_path / "mine.txt", "is a file")):
        with pytest.raises(EdgeSamError, match=message):
            build_page(SAM, PageRequest(place, "small"), [])
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_page_half_written_says_so_and_may_be_built_again(exported, tmp_path, monkeypatch):
    request = PageRequest(tmp_path / "page", "small")

    def disk_full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", disk_full)
        with pytest.raises(EdgeSamError, match="No space left"):
            build_page(SAM, request, [])
    assert "encoder" not in json.loads((tmp_path / "page" / MANIFEST).read_text())
    build_page(SAM, request, [])
    assert "encoder" in json.loads((tmp_path / "page" / MANIFEST).read_text())


def test_a_network_of_several_files_is_too_large(exported, tmp_path):
    exported.append("network_encoder.onnx.data")
    with pytest.raises(EdgeSamError, match="no browser loads"):
        build_page(SAM, PageRequest(tmp_path / "page", "huge"), [])
    assert not (tmp_path / "page").exists()
