"""ONNX files written by hand, so that nothing of this needs PyTorch: what reads them must not need it either."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_sam.errors import EdgeSamError
from edge_sam.runtime.graphs import GraphDescription
from edge_sam.runtime.onnx_graphs import METADATA_KEY, OnnxSamPredictor

FLOAT = TensorProto.FLOAT


def write(path: Path, nodes, inputs, outputs, constants, description: GraphDescription | None) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if description is not None:
        helper.set_model_props(model, {METADATA_KEY: description.to_json()})
    onnx.save(model, path)
    return path


def write_encoder(path: Path, size: int = 64, described: bool = True) -> Path:
    """The embedding's first three channels are the colours at stride 16."""
    weights = np.zeros((256, 3, 16, 16), np.float32)
    weights[range(3), range(3), 0, 0] = 1
    conv = helper.make_node("Conv", ["images", "weights"], ["image_embeddings"], strides=[16, 16])
    outputs = {"image_embeddings": [1, 256, size // 16, size // 16]}
    description = GraphDescription(size) if described else None
    return write(path, [conv], {"images": [1, 3, size, size]}, outputs, {"weights": weights}, description)


def write_decoder(path: Path, size: int = 64) -> Path:
    """The logits of mask k are the mask prompt plus k, for each prompt; its score is the sum of the coordinates."""
    offsets = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    nodes = [
        helper.make_node("ReduceSum", ["point_coords", "axes"], ["sums"], keepdims=0),
        helper.make_node("Unsqueeze", ["sums", "last"], ["column"]),
        helper.make_node("Mul", ["column", "ones"], ["iou_predictions"]),
        helper.make_node("Unsqueeze", ["column", "two_last"], ["places"]),
        helper.make_node("Mul", ["places", "zero"], ["nothing"]),
        helper.make_node("Add", ["mask_input", "offsets"], ["single"]),
        helper.make_node("Add", ["single", "nothing"], ["low_res_masks"]),
    ]
    side = size // 4
    inputs = {
        "image_embeddings": [1, 256, size // 16, size // 16],
        "point_coords": ["n", "p", 2],
        "point_labels": ["n", "p"],
        "mask_input": [1, 1, side, side],
        "has_mask_input": [1],
    }
    constants = {
        "axes": np.array([1, 2]), "last": np.array([1]), "two_last": np.array([2, 3]), "offsets": offsets,
        "ones": np.ones((1, 4), np.float32), "zero": np.zeros(1, np.float32),
    }  # fmt: skip
    outputs = {"low_res_masks": ["n", 4, side, side], "iou_predictions": ["n", 4]}
    return write(path, nodes, inputs, outputs, constants, GraphDescription(size))


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    return write_encoder(tmp_path / "encoder.onnx"), write_decoder(tmp_path / "decoder.onnx")


def test_a_pair_of_files_answers_prompts(pair):
    predictor = OnnxSamPredictor(*pair, threads=1)
    predictor.set_image(np.full((32, 64, 3), 255, np.uint8))
    embedding = predictor.get_image_embedding()
    assert embedding.shape == (1, 256, 4, 4)
    assert (embedding[0, :3, :2] > 2).all() and (embedding[0, :, 2:] == 0).all()  # padding behind normalising
    _, scores, logits = predictor.predict(np.array([[3, 4]]), np.ones(1, int), mask_input=np.ones((1, 16, 16)))
    np.testing.assert_array_equal(scores, [7, 7, 7])
    np.testing.assert_array_equal(logits[:, 0, 0], [2, 3, 4])


SCRIPT = """
import sys
from pathlib import Path

ALLOWED = {"edge_sam", "numpy", "PIL", "onnxruntime", *sys.stdlib_module_names}
before = set(sys.modules)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not to be imported here")

sys.meta_path.insert(0, Refuse())
import numpy as np
from PIL import Image
from edge_sam.runtime.onnx_graphs import OnnxSamPredictor

predictor = OnnxSamPredictor(*sys.argv[1:])
predictor.set_image(Image.new("L", (64, 32), 200))
masks, scores, _ = predictor.predict(box=np.array([1, 2, 30, 31]))
assert masks.shape == (3, 32, 64), masks.shape
others = {name.partition(".")[0] for name in set(sys.modules) - before} - ALLOWED
assert not others, others
print("predicted", scores[0])
"""


def test_prediction_imports_neither_torch_nor_anything_but_numpy_pillow_and_onnxruntime(pair):
    command = [sys.executable, "-c", SCRIPT, *map(str, pair)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "predicted 64.0"


def test_files_that_cannot_be_used_are_named(pair, tmp_path):
    encoder, decoder = pair
    with pytest.raises(EdgeSamError, match=r"nowhere.onnx: no such file"):
        OnnxSamPredictor(tmp_path / "nowhere.onnx", decoder)
    (tmp_path / "short.onnx").write_bytes(encoder.read_bytes()[:1000])
    with pytest.raises(EdgeSamError, match=r"short.onnx: ONNX Runtime cannot load it"):
        OnnxSamPredictor(tmp_path / "short.onnx", decoder)
    with pytest.raises(EdgeSamError, match=r"foreign.onnx: not written by edgesam export"):
        OnnxSamPredictor(write_encoder(tmp_path / "foreign.onnx", described=False), decoder)
    with pytest.raises(EdgeSamError, match=r"encoder is for 128 pixels, the decoder for 64"):
        OnnxSamPredictor(write_encoder(tmp_path / "large.onnx", 128), decoder)
    model = onnx.load(decoder)
    helper.set_model_props(model, {METADATA_KEY: '{"image_size": 64, "more": 1}'})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(EdgeSamError, match="not this version's"):
        OnnxSamPredictor(encoder, tmp_path / "other.onnx")
