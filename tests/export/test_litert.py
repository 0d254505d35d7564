"""LiteRT, where it is installed: `pip install 'edge-sam[litert]'`, which wants an environment of its own."""

import json

import numpy as np
import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.export.run import ExportRequest, export
from edge_sam.runtime.graphs import GraphDescription
from edge_sam.runtime.pictures import normalised_square

litert = pytest.importorskip("litert_torch") and pytest.importorskip("edge_sam.export.litert")
quantization = pytest.importorskip("edge_sam.export.litert_quantization")

pytestmark = pytest.mark.slow

MOST_POINTS = 3
"""A box and a point, which a comparison asks: each number of points takes the converter ten seconds."""


@pytest.fixture(scope="module")
def report(sam, pictures, tmp_path_factory):
    request = ExportRequest("litert", tmp_path_factory.mktemp("litert") / "small", GraphDescription(sam.image_size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert, "MOST_POINTS", MOST_POINTS)
        yield export(sam, request, pictures)


@pytest.fixture
def converted(report, monkeypatch):
    """The float32 graphs, which need no conversion again."""
    contents = {path.name.rpartition("_")[2]: path.read_bytes() for path in report.files.values()}
    monkeypatch.setattr(litert, "_convert", lambda graph, name: contents[name.rpartition("_")[2]])


def test_the_answers_are_those_of_pytorch(report):
    assert max(report.parity.max_difference.values()) < 1e-4
    assert report.parity.mean_mask_iou > 0.9995
    assert set(report.parity.latency_ms) == {"pytorch", "litert"}


def test_a_decoders_signatures_share_their_weights(report, sam):
    weights = sum(parameter.numel() for parameter in sam.mask_decoder.parameters())
    assert report.files["decoder"].stat().st_size < 1.5 * 4 * weights


def test_more_points_than_it_has_a_signature_for_are_refused(report, sam):
    graph = litert.read(report.files["decoder"], GraphDescription(sam.image_size))
    points = MOST_POINTS + 1
    prompts = {"point_coords": np.zeros((1, points, 2), np.float32), "point_labels": np.ones((1, points), np.float32)}
    with pytest.raises(EdgeSamError, match="1 to 3 points"):
        graph(prompts)


@pytest.mark.parametrize(
    ("precision", "shares", "difference"), [("fp16", (0.55, 0.6), 0.02), ("int8", (0.75, 0.5), 0.1)]
)
def test_fewer_bits_stay_near_pytorch(
    precision, shares, difference, report, converted, sam, pictures, tmp_path, caplog
):
    request = ExportRequest("litert", tmp_path / "small", GraphDescription(sam.image_size), quantization=precision)
    calibration = pictures[1:] * 5 if precision == "int8" else ()
    fewer = export(sam, request, pictures[:1], calibration)
    assert 0 < fewer.parity.max_difference["image_embeddings"] < difference
    assert 0 < fewer.parity.max_difference["low_res_masks"] < difference
    assert fewer.parity.mean_mask_iou > 0.99
    for part, share in zip(("encoder", "decoder"), shares, strict=True):
        assert fewer.files[part].stat().st_size < share * report.files[part].stat().st_size
    found = json.loads(fewer.parity_file.read_text())
    assert found.get("calibrated_on") == ("3 other drawn pictures" if precision == "int8" else None)
    assert ("float32_layers" in found) == (precision == "int8")
    assert "overriding" not in caplog.text


def test_the_convolutions_that_suffer_most_stay_in_float32(report, sam, pictures, monkeypatch):
    model = report.files["encoder"].read_bytes()
    samples = [{"images": normalised_square(picture, sam.image_size)} for picture in pictures[:1]]
    exact = quantization._embeddings(model, samples)
    kept, errors = {}, {}
    for share in (1.0, 0.1):
        monkeypatch.setattr(quantization, "_DAMAGE_LEFT", share)
        content, kept[share] = quantization.quantize_encoder(model, samples)
        errors[share] = np.square(quantization._embeddings(content, samples) - exact).sum()
    assert kept[1.0] == [] and 0 < len(kept[0.1]) < 28
    assert 0 < errors[0.1] < 0.5 * errors[1.0]
    assert all(name.startswith("encoder.") and "/" not in name for name in kept[0.1])
