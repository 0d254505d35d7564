"""Parity at the official size, 1024 px: golden weights, and what the reference implementation answers."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_sam.export.graphs import decoder_graph, encoder_graph
from edge_sam.export.targets import find_target
from edge_sam.modeling.checkpoints import load_official
from edge_sam.modeling.registry import build_sam
from edge_sam.runtime.graphs import GraphDescription
from edge_sam.runtime.pictures import normalised_square
from tests.modeling.rounding import expect_golden, more_than_one_thread

pytestmark = pytest.mark.slow

DESCRIPTION = GraphDescription(1024)
TARGETS = ["onnx", "openvino", "torch.export", "torchscript"]


@pytest.fixture(scope="module")
def official(golden_state):
    sam = build_sam("rep_vit_m1").eval()
    load_official(sam, golden_state("edge_sam"), "golden")
    return sam


@pytest.fixture(scope="module")
def truck(shared) -> dict[str, np.ndarray]:
    picture = np.array(Image.open(shared("images", "truck.jpg")).convert("RGB"))
    return {"images": normalised_square(picture, 1024)}


@pytest.fixture(scope="module")
def exact_embedding(official, truck) -> np.ndarray:
    encoder = copy.deepcopy(official.image_encoder).double()
    with torch.no_grad():
        return encoder(torch.from_numpy(truck["images"]).double()).numpy()


@pytest.fixture(scope="module")
def onnx_encoder(official, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("official") / "encoder.onnx"
    find_target("onnx").write(encoder_graph(official, DESCRIPTION), path)
    return path


@pytest.fixture(scope="module")
def onnx_decoder(official, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("official") / "decoder.onnx"
    find_target("onnx").write(decoder_graph(official, DESCRIPTION), path)
    return path


def written(graph, target: str, onnx_file: Path, folder: Path) -> Path:
    """Write a graph; the ONNX file is there already, and OpenVINO reads it, as its own writer does."""
    if target == "onnx":
        return onnx_file
    path = folder / f"graph{find_target(target).suffix}"
    if target == "openvino":
        import openvino

        from edge_sam.export.openvino import core

        openvino.save_model(core().read_model(onnx_file), path, compress_to_fp16=False)
        return path
    find_target(target).write(graph, path)
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_embeddings_are_the_golden_ones(target, official, truck, exact_embedding, onnx_encoder, golden, tmp_path):
    path = written(encoder_graph(official, DESCRIPTION), target, onnx_encoder, tmp_path)
    with more_than_one_thread():
        embedding = find_target(target).read(path, DESCRIPTION)(truck)[0]
    np.testing.assert_allclose(embedding, exact_embedding, atol=1e-4, rtol=0)
    # The golden embedding has been rounded, too: by up to 1e-4, in another order than a folded encoder.
    np.testing.assert_allclose(embedding[..., ::4, ::4], golden("predictor")["truck_embedding"], atol=2e-4, rtol=0)


@pytest.mark.parametrize("target", TARGETS)
def test_masks_are_the_golden_ones(target, official, onnx_decoder, golden, golden_input, tmp_path):
    arrays = golden("edge_sam")
    graph = decoder_graph(official, DESCRIPTION)
    decode = find_target(target).read(written(graph, target, onnx_decoder, tmp_path), DESCRIPTION)
    inputs = {
        "point_coords": arrays["in_points"].astype(np.float32),
        "point_labels": arrays["in_labels"].astype(np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }

    def answer(embedding: torch.Tensor) -> dict[str, torch.Tensor]:
        masks, iou = (torch.from_numpy(x) for x in decode({"image_embeddings": embedding.numpy(), **inputs}))
        assert masks.shape == (3, 4, 256, 256)
        return {"masks": masks[..., ::8, ::8], "iou": iou}

    expected = {name: torch.from_numpy(arrays[f"decode_points_4_{name}"]) for name in ("masks", "iou")}
    with more_than_one_thread():
        expect_golden(answer, 0.5 * golden_input("embedding", 1, 256, 64, 64), expected)
