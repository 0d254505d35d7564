import numpy as np
import pytest
import torch

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.compared_models import Told, find_models
from edge_sam.evaluation.measurements import MeasuredData, Measurement, Pace, measure_rest
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.checkpoints import file_sha256, official_state, save_checkpoint
from edge_sam.modeling.registry import build_sam
from tests.modeling.test_folding import with_lively_norms
from tests.synthetic import write_sa1b

CPU = torch.device("cpu")
SIZE = 64


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    made = build_sam("rep_vit_m1", SIZE).eval()
    with_lively_norms(made.image_encoder)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sam):
    """A model as save_pretrained writes it, the same in a file that tells nothing, and an encoder alone."""
    folder = tmp_path_factory.mktemp("models")
    sam.save_pretrained(folder / "mine")
    save_checkpoint(official_state(sam), folder / "silent.pth")
    save_checkpoint(official_state(sam.image_encoder), folder / "encoder.pth")
    return folder


def test_files_and_folders_are_recognised_and_named(folder):
    models = find_models(
        [str(folder / "mine"), f"other={folder / 'mine' / 'model.safetensors'}", str(folder / "silent.pth")],
        Told(image_size=SIZE, upsample_mode="bilinear"), CPU,
    )  # fmt: skip
    assert [model.name for model in models] == ["mine", "other", "silent"]
    assert [model.kind for model in models] == [
        *["rep_vit_m1, 64 px, bicubic upsampling"] * 2, "rep_vit_m1, 64 px, bilinear upsampling",
    ]  # fmt: skip
    assert models[0].sha256 == models[1].sha256 == file_sha256(folder / "mine" / "model.safetensors")
    assert len({model.parameters for model in models}) == 1
    assert models[2].open().image_size == SIZE


def test_an_official_file_that_tells_nothing_is_taken_at_1024(folder):
    (model,) = find_models([str(folder / "silent.pth")], Told(), CPU)
    assert model.image_size == 1024


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["{}/nothing.pth"], r"nothing.pth: no such file"),
        (["{}/weights/edge_sam_3x.pth"], r"edgesam download edge_sam_3x"),
        (["{}/encoder.pth"], r"encoder.pth: not the weights of this Sam"),
        (["{}"], r"holds neither config.json nor one \*_encoder.onnx and one \*_decoder.onnx"),
        (["{}/mine", "{}/mine"], r"is called mine, as .* is: give it a name, OTHER="),
        (["{}/a_encoder.onnx,{}/a_decoder.onnx"], r"a_encoder.onnx: no such file"),
    ],
)
def test_what_is_no_model_is_told_before_the_work(folder, texts, message):
    with pytest.raises(EdgeSamError, match=message):
        find_models([text.format(*[folder] * text.count("{}")) for text in texts], Told(), CPU)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, sam):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from edge_sam.export.graphs import decoder_graph, encoder_graph
    from edge_sam.export.onnx import write
    from edge_sam.export.precision import FLOAT32
    from edge_sam.runtime.graphs import GraphDescription

    folder = tmp_path_factory.mktemp("exported")
    description = GraphDescription(SIZE)
    write(encoder_graph(sam, description), folder / "mine_encoder.onnx", FLOAT32)
    write(decoder_graph(sam, description), folder / "mine_decoder.onnx", FLOAT32)
    return folder


@pytest.mark.slow
def test_an_exported_pair_has_the_numbers_of_its_model(exported, folder, tmp_path):
    data = write_sa1b(tmp_path / "data", "val", 2, size=(60, 80))
    dataset = Sa1bDataset(data, "val", SIZE, keep_annotations=True)
    pair = f"again={exported / 'mine_encoder.onnx'},{exported / 'mine_decoder.onnx'}"
    mine, in_folder, again = find_models([str(folder / "mine"), str(exported), pair], Told(), CPU)
    assert (in_folder.name, again.name) == ("mine (ONNX)", "again") and in_folder.sha256 == again.sha256
    assert in_folder.precision(amp=True) == "as exported"
    protocols = [EvaluationProtocol("box", refine_iters=2), EvaluationProtocol("point", "point", 1, 3, "oracle")]
    about = MeasuredData("sa", dataset.identity(), len(dataset), None)
    results = []
    for model in (mine, in_folder):
        found = [Measurement(tmp_path, model, protocol, about, False) for protocol in protocols]
        measure_rest(model, dataset, found, None, Pace(2, 32, 0), False, lambda done: None)
        results.append([one.result() for one in found])
    for one, other in zip(*results, strict=True):
        assert one.iou.max() > 0.05, "masks are empty: nothing is compared"
        np.testing.assert_allclose(one.iou[:, 0], other.iou[:, 0], atol=1e-2)
        np.testing.assert_allclose(one.miou, other.miou, atol=1e-2)
