"""The page's arithmetic, run by Node, against Python's."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from edge_sam.inference.coco_file import MaskedPicture, coco_file, run_lengths
from edge_sam.runtime.masks import enlarged
from edge_sam.runtime.pictures import PIXEL_MEAN, PIXEL_STD, normalised_square, resized_size

NETWORK_INPUT = """
    const { resampleRows, resampleColumns, resamplingTaps } = await import("./resampling.js");
    const { normalisedSquare, resizedSize } = await import("./network_input.js");
    const size = resizedSize(height, width, side);
    const rows = resampleRows(Uint8Array.from(rgba), width, resamplingTaps(width, size[1]));
    const small = resampleColumns(rows, size[1], resamplingTaps(height, size[0]));
    return { small: [...small], size, square: [...normalisedSquare(small, size, side, mean, deviation)] };
"""


@pytest.mark.parametrize(
    ("height", "width", "side"), [(37, 53, 32), (53, 37, 32), (64, 48, 64), (20, 30, 64), (300, 7, 32), (1, 1, 16)]
)
def test_pictures_are_resized_and_normalised_to_the_bit(in_node, height, width, side):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    found = in_node(
        NETWORK_INPUT,
        rgba=rgba.ravel().tolist(), height=height, width=width, side=side, mean=PIXEL_MEAN, deviation=PIXEL_STD,
    )  # fmt: skip
    size = resized_size(height, width, side)
    assert tuple(found["size"]) == size
    resized = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(np.array(found["small"]).reshape(resized.shape) - resized)
    # Pillow 13 takes columns before rows where a picture is tall, and then rounds some pixels to the next grey level.
    assert difference.max() <= int(height > 2 * width)
    if not difference.any():
        square = np.array(found["square"], np.float32).reshape(1, 3, side, side)
        np.testing.assert_array_equal(square, normalised_square(pixels, side))


@pytest.mark.parametrize("original", [(60, 80), (80, 60), (500, 333), (9, 16), (64, 64)])
def test_masks_are_enlarged_as_in_python(in_node, original):
    image_size, side = 64, 16
    logits = np.random.default_rng(1).normal(size=(side, side)).astype(np.float32)
    input_size = resized_size(*original, image_size)
    mask = in_node(
        """
        const { enlargedMask } = await import("./enlarging.js");
        const geometry = { lowSide: 16, imageSize: 64, inputSize };
        return [...enlargedMask(Float32Array.from(logits), geometry, original)];
        """,
        logits=logits.ravel().tolist(), inputSize=input_size, original=original,
    )  # fmt: skip
    expected = enlarged(logits, image_size, input_size, original)
    certain = np.abs(expected) > 1e-5  # the sums are rounded in another order
    assert certain.mean() > 0.999
    np.testing.assert_array_equal(np.array(mask).reshape(original)[certain], (expected > 0)[certain])


def test_masks_become_the_same_files(in_node):
    random = np.random.default_rng(2)
    masks = [random.random((23, 37)) > 0.6, np.zeros((23, 37), bool), np.ones((23, 37), bool)]
    masks[0][:, 5:9] = True  # runs over the picture's lower edge
    found = in_node(
        """
        const { cocoFile } = await import("./run_length.js");
        const { maskAsPng } = await import("./png.js");
        const objects = masks.map((mask, i) => ({ mask: Uint8Array.from(mask), score: i / 4, number: i + 1 }));
        const png = await maskAsPng(objects[0].mask, [23, 37]);
        return { coco: cocoFile("a.jpg", [23, 37], objects), png: [...new Uint8Array(await png.arrayBuffer())] };
        """,
        masks=[mask.astype(int).ravel().tolist() for mask in masks],
    )
    records = [
        {"segmentation": run_lengths(mask), "score": i / 4, "object": i + 1} for i, mask in enumerate(masks)
    ]  # fmt: skip
    assert found["coco"] == json.loads(json.dumps(coco_file([MaskedPicture("a.jpg", (23, 37), records)])))
    image = Image.open(io.BytesIO(bytes(found["png"])))
    assert image.mode == "1"
    np.testing.assert_array_equal(np.asarray(image), masks[0])


def test_long_runs_are_written_as_coco_writes_them(in_node):
    mask = np.zeros((700, 900), bool)
    mask[100:600, 200:203] = mask[690:, 800] = True
    text = in_node(
        """
        const { compressedRuns, runLengths } = await import("./run_length.js");
        const mask = new Uint8Array(700 * 900);
        for (let y = 100; y < 600; y++) for (let x = 200; x < 203; x++) mask[900 * y + x] = 1;
        for (let y = 690; y < 700; y++) mask[900 * y + 800] = 1;
        return compressedRuns(runLengths(mask, 700, 900));
        """
    )
    assert text == run_lengths(mask)["counts"]


def test_prompts_travel_as_points_of_the_network_s_input(in_node):
    found = in_node(
        """
        const { promptPoints } = await import("./network_input.js");
        const points = [{ x: 100, y: 30, label: 1 }, { x: 7, y: 0, label: 0 }];
        const { coordinates, labels } = promptPoints({ points, box: [0, 10, 200, 50] }, [100, 200], [32, 64]);
        return { coordinates: [...coordinates], labels: [...labels] };
        """
    )
    expected = np.array([100, 30, 7, 0, 0, 10, 200, 50]) * 0.32
    np.testing.assert_allclose(found["coordinates"], expected, rtol=1e-6)
    assert found["labels"] == [1, 0, 2, 3]


def test_every_change_can_be_undone_and_answers_stay_with_their_prompts(in_node):
    found = in_node(
        """
        const { Session } = await import("./session.js");
        const session = new Session();
        const told = [];
        const summary = ({ id, prompts }) => [id, prompts.points.length, !!prompts.box];
        const tell = () => told.push(session.objects.map(summary));
        const planes = [0, 1, 2, 3].map((value) => Float32Array.of(value));
        session.addPoint(1, 2, 1);
        session.answers.set(session.current.prompts, { planes, scores: Float32Array.of(0.5, 0.25, 0.75, 0.125) });
        const first = [session.candidates(session.current), session.chosenMask(session.current).score];
        session.setCount(3);
        const three = session.candidates(session.current);
        session.choose(1);
        const chosen = session.chosenMask(session.current).score;
        session.addPoint(3, 4, 0);
        const unanswered = session.chosenMask(session.current);
        session.addObject();
        session.addObject();
        session.setBox([0, 0, 5, 5]);
        tell();
        session.removeObject(1);
        tell();
        session.removeObject(2);
        tell();
        for (let i = 0; i < 5; i++) session.undo();
        tell();
        const again = session.chosenMask(session.current).score;
        while (session.canUndo) session.undo();
        tell();
        return { first, three, chosen, unanswered, told, again };
        """
    )
    assert found["first"] == [{"offered": [{"index": 0, "score": 0.5}], "best": 0, "chosen": 0}, 0.5]
    assert [candidate["index"] for candidate in found["three"]["offered"]] == [1, 2, 3]
    assert found["three"]["best"] == found["three"]["chosen"] == 2
    assert found["chosen"] == found["again"] == 0.25
    assert found["unanswered"] is None
    assert found["told"] == [
        [[1, 2, False], [2, 0, True]],
        [[2, 0, True]],
        [[1, 0, False]],
        [[1, 1, False]],
        [[1, 0, False]],
    ]


FAILING_GPU = """
    const { Network } = await import("./network.js");
    const { SteadyNetwork } = await import("./steady_network.js");
    class Tensor { constructor(type, data, dims) { Object.assign(this, { data, dims }); } }
    const done = [];
    function opened(backend) {
      done.push(`open ${backend}`);
      if (backend === "webgpu" && fails === "start") throw new Error("no adapter");
      const value = (stage) => backend === "webgpu" && fails === stage ? NaN : 1;
      const run = (stage, answer) => ({ run: async (inputs) => {
        if (backend === "webgpu" && fails === `${stage} throws`) throw new Error("device lost");
        done.push(`${stage} ${backend}`);
        return answer(inputs);
      } });
      const network = Object.assign(new Network(), { ort: { Tensor }, backend, threads: 1, imageSize: 8 });
      network.encoder = run("encode", ({ images }) => (
        { image_embeddings: { data: Float32Array.of(images.data[0], value("encode")) } }));
      network.decoder = run("decode", ({ image_embeddings: { data } }) => ({
        low_res_masks: { data: new Float32Array(16).fill(data[0]).fill(value("logits"), 15) },
        iou_predictions: { data: Float32Array.of(0, 0, value("scores"), data[0]) },
      }));
      return network;
    }
    console.warn = () => {};
    const steady = await SteadyNetwork.open(async (backend) => opened(backend), "webgpu", mayFallBack);
    await steady.embed(new Float32Array(192).fill(5));
    const ask = () => steady.decode(new Float32Array(2), new Float32Array(1));
    const answers = [await ask(), await ask()];
    return { done, backend: steady.backend, scores: answers.map(({ scores }) => [...scores]) };
"""


@pytest.mark.parametrize(
    ("fails", "first"),
    [
        ("nothing", None),
        ("start", ["open webgpu"]),
        ("encode", ["open webgpu", "encode webgpu"]),
        ("encode throws", ["open webgpu"]),
        ("logits", ["open webgpu", "encode webgpu", "decode webgpu"]),
        ("scores", ["open webgpu", "encode webgpu", "decode webgpu"]),
        ("decode throws", ["open webgpu", "encode webgpu"]),
    ],
)
def test_where_a_gpu_fails_the_processor_goes_on(in_node, fails, first):
    found = in_node(FAILING_GPU, fails=fails, mayFallBack=True)
    backend = "webgpu" if first is None else "wasm"
    rest = [f"open {backend}", f"encode {backend}", f"decode {backend}", f"decode {backend}"]
    assert found["done"] == [*(first or []), *rest] and found["backend"] == backend
    assert found["scores"] == [[0, 0, 1, 5]] * 2
