"""LiteRT, where it is installed: `pip install 'edge-sam[litert]'`, which wants an environment of its own."""

import numpy as np
import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.export.run import ExportRequest, export
from edge_sam.runtime.graphs import GraphDescription

litert = pytest.importorskip("litert_torch") and pytest.importorskip("edge_sam.export.litert")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(sam, pictures, tmp_path_factory):
    request = ExportRequest("litert", tmp_path_factory.mktemp("litert") / "small", GraphDescription(sam.image_size))
    return export(sam, request, pictures)


def test_the_answers_are_those_of_pytorch(report):
    assert max(report.parity.max_difference.values()) < 1e-4
    assert report.parity.mean_mask_iou > 0.9995
    assert set(report.parity.latency_ms) == {"pytorch", "litert"}


def test_a_decoders_signatures_share_their_weights(report, sam):
    weights = sum(parameter.numel() for parameter in sam.mask_decoder.parameters())
    assert report.files["decoder"].stat().st_size < 1.5 * 4 * weights


def test_more_points_than_it_has_a_signature_for_are_refused(report, sam):
    graph = litert.read(report.files["decoder"], GraphDescription(sam.image_size))
    points = litert.MOST_POINTS + 1
    prompts = {"point_coords": np.zeros((1, points, 2), np.float32), "point_labels": np.ones((1, points), np.float32)}
    with pytest.raises(EdgeSamError, match="1 to 8 points"):
        graph(prompts)
