import numpy as np
import pytest
import torch

from benchmarks import inference
from edge_sam.export.pictures import draw_pictures
from edge_sam.modeling.registry import build_sam
from edge_sam.runtime.pictures import normalised_square


def test_each_decoder_is_compared_with_the_repeated_image(monkeypatch):
    monkeypatch.setattr(inference, "_onnx_encoders", lambda sam, folder: {})
    rows = list(inference.measure(inference.Sizes(image_size=64, repeats=1, prompts=(1, 3))))
    assert [row.what.split(",")[0] for row in rows] == [
        *2 * ["encode a picture"],
        "one matrix product of as many multiplications",
        *3 * ["decode 1 point"],
        *3 * ["decode 3 points"],
    ]
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)
    assert len({row.baseline_value for row in rows[3:6]}) == 1  # one baseline for the three
    assert rows[0].row().startswith("| encode a picture, folded, 64 px |")


@pytest.mark.slow
@torch.no_grad()
def test_onnx_encoders_answer_as_the_model(tmp_path):
    torch.manual_seed(0)
    sam = build_sam("rep_vit_m1", 64).eval()
    forms = inference._onnx_encoders(sam, tmp_path)
    assert list(forms) == ["ONNX Runtime float", "ONNX Runtime int8"]
    exact, rounded = (form()[0] for form in forms.values())
    expected = sam.image_encoder(torch.from_numpy(normalised_square(draw_pictures(1, 256)[0], 64)))
    np.testing.assert_allclose(exact, expected, atol=1e-4)
    np.testing.assert_allclose(rounded, expected, atol=0.1)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.95 * (tmp_path / "float.onnx").stat().st_size
