import copy

import numpy as np
import pytest
import torch
from PIL import Image

import edge_sam
from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.inference.predictor import SamPredictor, stability_score
from edge_sam.modeling.checkpoints import load_official
from edge_sam.modeling.registry import build_sam
from tests.modeling.rounding import expect_golden, more_than_one_thread


@pytest.fixture(scope="module")
def golden_predictor(golden_state):
    sam = build_sam("rep_vit_m1")
    load_official(sam, golden_state("edge_sam"), "golden")
    return SamPredictor(sam)


@pytest.mark.parametrize("picture", ["truck", "groceries"])
def test_all_answers_are_the_golden_ones(picture, golden_predictor, golden, shared, monkeypatch):
    arrays = golden("predictor")
    predictor = golden_predictor
    prompt = [arrays[f"{picture}_{name}"] for name in ("point_coords", "point_labels", "box")]
    expected = {
        "maskinput_low": arrays[f"{picture}_maskinput_low"],
        "maskinput_score": arrays[f"{picture}_maskinput_score"],
    }
    for count in (1, 3, 4):
        expected[f"n{count}_low"] = arrays[f"{picture}_n{count}_low"]
        for stability in (0, 1):
            expected[f"n{count}_s{stability}_scores"] = arrays[f"{picture}_n{count}_s{stability}_scores"]
    logits = {}  # of the first call, which is the one with the embedding as it is

    def ask(embedding: torch.Tensor) -> dict[str, torch.Tensor]:
        predictor.features = embedding
        answers = {}
        for count in (1, 3, 4):
            for stability in (0, 1):
                logits[count], scores, low = predictor.predict(
                    *prompt, None, count, bool(stability), return_logits=True
                )
                answers[f"n{count}_s{stability}_scores"] = scores
            answers[f"n{count}_low"] = low[:, ::8, ::8]
        _, score, refined = predictor.predict(*prompt[:2], mask_input=low[:1], num_multimask_outputs=1)
        answers |= {"maskinput_low": refined[:, ::8, ::8], "maskinput_score": score}
        return {name: torch.from_numpy(answer) for name, answer in answers.items()}

    with more_than_one_thread():
        predictor.set_image(Image.open(shared("images", f"{picture}.jpg")))
        folded = predictor.get_image_embedding()
        # These random weights make thousands of one bit of the embedding, and the reference's own rounding is 1e-4 off
        # the exact numbers. So the folded encoder, which is nearer, is compared with those; and what is compared with
        # the reference comes from the encoder that is not folded.
        exact = copy.deepcopy(predictor.model.image_encoder).double()
        monkeypatch.setattr(predictor, "_inference_encoder", lambda: lambda images: exact(images.double()).float())
        predictor.set_image(Image.open(shared("images", f"{picture}.jpg")))
        torch.testing.assert_close(folded, predictor.get_image_embedding(), atol=1e-4, rtol=0)
        monkeypatch.setattr(predictor, "_inference_encoder", lambda: predictor.model.image_encoder)
        predictor.set_image(Image.open(shared("images", f"{picture}.jpg")))
        embedding = predictor.get_image_embedding()
        distance = expect_golden_embedding(embedding, arrays, picture)
        tensors = {name: torch.from_numpy(value) for name, value in expected.items()}
        tolerances = expect_golden(ask, embedding, tensors, distance)
    for count in (1, 3, 4):
        expect_golden_masks(logits[count], arrays, f"{picture}_n{count}", tolerances[f"n{count}_low"])


def expect_golden_embedding(embedding: torch.Tensor, arrays, picture: str) -> float:
    """Return the mean distance of the embedding from the golden one, which is below 1e-4 everywhere."""
    expected = torch.from_numpy(arrays[f"{picture}_embedding"])
    torch.testing.assert_close(embedding[..., ::4, ::4], expected, atol=1e-4, rtol=0)
    whole = embedding.double()
    stats = torch.stack([whole.mean(), whole.std(), whole.abs().max(), whole.square().sum()])
    torch.testing.assert_close(stats, torch.from_numpy(arrays[f"{picture}_embedding_stats"]), atol=1e-4, rtol=1e-5)
    return (embedding[..., ::4, ::4] - expected).abs().mean().item()


def expect_golden_masks(logits: np.ndarray, arrays, name: str, tolerance: float) -> None:
    """Masks may differ only where the logit is so near 0 that the tolerance leaves it open."""
    undecided = np.abs(logits) <= tolerance
    area = (logits > 0).sum((1, 2))
    assert (np.abs(area - arrays[f"{name}_area"]) <= undecided.sum((1, 2))).all()
    thinned = logits[:, ::4, ::4]
    bits = np.unpackbits(arrays[f"{name}_mask_bits"])[: thinned.size].reshape(thinned.shape).astype(bool)
    assert not ((thinned > 0) != bits)[~undecided[:, ::4, ::4]].any()


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return SamPredictor(build_sam("rep_vit_m1", 256))


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)


POINT = (np.array([[30.0, 40.0]]), np.array([1]))
BOX = np.array([10.0, 10.0, 60.0, 50.0])


def test_masks_have_the_size_of_the_picture(predictor, picture):
    predictor.set_image(picture)
    assert predictor.input_size == (144, 256)
    masks, scores, low = predictor.predict(*POINT)
    assert masks.shape == (3, 90, 160)
    assert masks.dtype == bool
    assert scores.shape == (3,)
    assert low.shape == (3, 64, 64)
    logits, _, _ = predictor.predict(*POINT, return_logits=True)
    assert np.array_equal(logits > 0, masks)


@pytest.mark.parametrize("shape", [(1, 1000, 3), (1000, 1, 3)])
def test_a_line_of_pixels_is_a_picture(shape, predictor):
    predictor.set_image(np.full(shape, 200, np.uint8))
    assert predictor.input_size == ((1, 256) if shape[0] == 1 else (256, 1))
    masks, _, _ = predictor.predict(np.array([[0.5, 0.5]]), np.array([1]))
    assert masks.shape == (3, *shape[:2])


def test_an_array_and_a_pil_image_are_the_same_picture(predictor, picture):
    predictor.set_image(picture)
    embedding = predictor.get_image_embedding()
    predictor.set_image(Image.fromarray(picture))
    assert torch.equal(predictor.get_image_embedding(), embedding)
    predictor.set_image(Image.fromarray(picture).convert("L"))
    assert not torch.equal(predictor.get_image_embedding(), embedding)


def test_predict_torch_answers_many_prompts_as_predict_answers_each(predictor, picture):
    predictor.set_image(picture)
    boxes = np.array([[10.0, 10.0, 60.0, 50.0], [5.0, 30.0, 150.0, 80.0]])
    scaled = predictor.apply_coords(torch.from_numpy(boxes).view(2, 2, 2)).view(2, 4)
    _, scores, low = predictor.predict_torch(None, None, scaled, num_multimask_outputs=4)
    for i in range(2):
        _, one_score, one_low = predictor.predict(box=boxes[i], num_multimask_outputs=4)
        np.testing.assert_allclose(low[i].numpy(), one_low, atol=1e-5)
        np.testing.assert_allclose(scores[i].numpy(), one_score, atol=1e-5)


def test_answers_are_those_of_an_image_copied_for_each_prompt(predictor, picture):
    predictor.set_image(picture)
    points = torch.from_numpy(np.random.default_rng(1).uniform(0, 90, (16, 2, 2))).float()
    _, scores, low = predictor.predict_torch(points, torch.ones(16, 2), num_multimask_outputs=4)
    encoder, embedding = predictor.model.prompt_encoder, predictor.get_image_embedding()
    with torch.inference_mode():
        sparse, dense = encoder((points, torch.ones(16, 2)), None, None)
        copies = embedding.repeat(16, 1, 1, 1)
        copied, copied_scores = predictor.model.mask_decoder(copies, encoder.get_dense_pe(), sparse, dense, 4)
    torch.testing.assert_close(low, copied, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, copied_scores, atol=1e-5, rtol=0)


def test_features_that_are_set_from_outside_are_asked(predictor, picture):
    predictor.set_image(picture)
    first, points = predictor.features, np.random.default_rng(1).uniform(0, 90, (3, 1, 2))
    expected = predictor.predict(points, np.ones((3, 1)), return_logits=True)
    predictor.set_image(255 - picture)
    assert not np.array_equal(predictor.predict(points, np.ones((3, 1)), return_logits=True)[0], expected[0])
    predictor.features = first
    for found, wanted in zip(predictor.predict(points, np.ones((3, 1)), return_logits=True), expected, strict=True):
        assert np.array_equal(found, wanted)


def test_a_batch_is_answered_as_each_object_alone(predictor, picture):
    predictor.set_image(picture)
    points = np.array([[[30.0, 40.0], [90.0, 20.0]], [[5.0, 5.0], [0.0, 0.0]]])
    labels = np.array([[1, 0], [1, -1]])
    boxes = np.array([BOX, [5.0, 30.0, 150.0, 80.0]])
    masks, scores, low = predictor.predict(points, labels, boxes, num_multimask_outputs=4, return_logits=True)
    assert masks.shape == (2, 4, 90, 160) and scores.shape == (2, 4) and low.shape == (2, 4, 64, 64)
    refined, refined_scores, _ = predictor.predict(points, labels, boxes, low[:, :1], 1, return_logits=True)
    for i in range(2):
        one = predictor.predict(points[i], labels[i], boxes[i], num_multimask_outputs=4, return_logits=True)
        for batched, alone in zip((masks[i], scores[i], low[i]), one, strict=True):
            np.testing.assert_allclose(batched, alone, atol=1e-5)
        one = predictor.predict(points[i], labels[i], boxes[i], low[i, :1], 1, return_logits=True)
        np.testing.assert_allclose(refined[i], one[0], atol=1e-4)
        np.testing.assert_allclose(refined_scores[i], one[1], atol=1e-5)


def test_a_box_in_a_batch_of_one_joins_points_of_one_object(predictor, picture):
    predictor.set_image(picture)
    for found, wanted in zip(predictor.predict(*POINT, BOX[None]), predictor.predict(*POINT, BOX), strict=True):
        assert np.array_equal(found, wanted)


def test_more_prompts_than_are_decoded_at_once(predictor, picture, monkeypatch):
    predictor.set_image(picture)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 90, (5, 1, 2))
    expected = predictor.predict(points, np.ones((5, 1)), return_logits=True)
    monkeypatch.setattr("edge_sam.inference.predictor._PROMPTS_AT_ONCE", 2)
    for found, wanted in zip(predictor.predict(points, np.ones((5, 1)), return_logits=True), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_no_object_is_no_mask(predictor, picture):
    predictor.set_image(picture)
    masks, scores, low = predictor.predict(box=np.zeros((0, 4)), use_stability_score=True)
    assert masks.shape == (0, 3, 90, 160) and masks.dtype == bool
    assert scores.shape == (0, 3) and low.shape == (0, 3, 64, 64)


def test_numbers_of_objects_must_agree(predictor, picture):
    predictor.set_image(picture)
    with pytest.raises(EdgeSamError, match="of 2, 2, 3 objects"):
        predictor.predict_torch(torch.zeros(2, 1, 2), torch.ones(2, 1), torch.zeros(3, 4))
    with pytest.raises(EdgeSamError, match="come together"):
        predictor.predict_torch(torch.zeros(2, 1, 2), None)
    with pytest.raises(EdgeSamError, match="point_coords of one object, box of a batch of 2"):
        predictor.predict(*POINT, box=np.array([BOX, BOX]))


def test_the_encoder_is_folded_for_inference_alone(predictor, picture):
    before = {name: tensor.clone() for name, tensor in predictor.model.state_dict().items()}
    predictor.set_image(picture)
    used = predictor._inference_encoder()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in used.modules())
    after = predictor.model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], tensor) for name, tensor in before.items())
    small = Image.fromarray(picture).resize((256, 144), Image.Resampling.BILINEAR)
    square = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    square[0, :, :144] = torch.from_numpy(np.array(small)).permute(2, 0, 1)
    with torch.inference_mode():
        plain = predictor.model.image_encoder(predictor.model.preprocess(square, torch.tensor([[144, 256]])))
    torch.testing.assert_close(predictor.get_image_embedding(), plain, atol=1e-4, rtol=0)


def test_what_has_nothing_to_fold_is_not_copied():
    sam = build_sam("vit_b", 64)
    assert SamPredictor(sam)._inference_encoder() is sam.image_encoder


def test_bgr_is_rgb_turned_round(predictor, picture):
    predictor.set_image(picture)
    embedding = predictor.get_image_embedding()
    predictor.set_image(picture[..., ::-1], image_format="BGR")
    assert torch.equal(predictor.get_image_embedding(), embedding)


def test_a_photograph_held_sideways_is_seen_upright(predictor, picture):
    predictor.set_image(picture)
    embedding = predictor.get_image_embedding()
    held = Image.fromarray(np.rot90(picture))
    held.getexif()[0x0112] = 6  # turn clockwise to see it
    predictor.set_image(held)
    assert predictor.original_size == (90, 160)
    assert torch.equal(predictor.get_image_embedding(), embedding)


def test_a_panorama_of_20000_pixels(predictor):
    predictor.set_image(np.full((40, 20_000, 3), 90, np.uint8))
    masks, _, _ = predictor.predict([[19_999, 39]], [1], num_multimask_outputs=1)
    assert masks.shape == (1, 40, 20_000)


def test_coordinates_scale_each_axis_by_its_own_ratio(predictor, picture):
    predictor.set_image(picture[:89])
    height, width = predictor.input_size
    corner = predictor.apply_coords(torch.tensor([[160.0, 89.0]]))
    torch.testing.assert_close(corner, torch.tensor([[width, height]], dtype=torch.float32))


def test_no_image_is_an_error(predictor, picture):
    predictor.set_image(picture)
    assert predictor.is_image_set
    predictor.reset_image()
    assert not predictor.is_image_set
    with pytest.raises(EdgeSamError, match="call set_image before predict"):
        predictor.predict(*POINT)
    with pytest.raises(EdgeSamError, match="call set_image before predict"):
        predictor.predict(box=np.zeros(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no prompt"),
        ({"point_coords": POINT[0]}, "come together"),
        ({"point_labels": POINT[1]}, "come together"),
        (
            {"point_coords": POINT[0], "point_labels": np.array([1, 0])},
            r"point_coords has shape \(1, 2\), not \(2, 2\)",
        ),
        ({"box": np.zeros((2, 5))}, r"box has shape \(2, 5\), not \(4,\)"),
        ({"box": BOX, "mask_input": np.zeros((64, 64))}, r"mask_input has shape \(64, 64\), not \(1, 64, 64\)"),
        ({"box": BOX, "num_multimask_outputs": 2}, "1, 3 or 4, not 2"),
        (
            {"box": BOX, "num_multimask_outputs": True},
            "not True: .* say 3 for True, 1 for False",
        ),
        ({"point_coords": POINT[0], "point_labels": np.array([7])}, "label"),
    ],
)
def test_bad_prompts_are_named(arguments, message, predictor, picture):
    predictor.set_image(picture)
    with pytest.raises(EdgeSamError, match=message):
        predictor.predict(**arguments)


@pytest.mark.parametrize("broken", ["output_upscaling.0.bias", "iou_prediction_head.layers.2.bias"])
def test_answers_that_are_no_numbers_are_an_error_not_empty_masks(broken, picture):
    sam = build_sam("rep_vit_m1", 64)
    sam.mask_decoder.get_parameter(broken).data.fill_(torch.nan)
    broken_predictor = SamPredictor(sam)
    broken_predictor.set_image(picture)
    with pytest.raises(NotFiniteError, match="the network answers with NaN or infinity"):
        broken_predictor.predict(box=BOX, use_stability_score=True)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8), "truck.jpg"]
)
def test_what_is_no_image_is_refused(image, predictor):
    with pytest.raises(EdgeSamError, match="RGB array"):
        predictor.set_image(image)


def test_a_refused_picture_leaves_no_earlier_one_to_be_asked(predictor, picture):
    predictor.set_image(picture)
    with pytest.raises(EdgeSamError, match="RGB array"):
        predictor.set_image("truck.jpg")
    with pytest.raises(EdgeSamError, match="call set_image before predict"):
        predictor.predict(*POINT)


@pytest.mark.parametrize("number", [1, 3])
def test_answers_under_autocast_are_float32(number, predictor, picture):
    boxes = np.stack([BOX] * number)
    predictor.set_image(picture)
    expected = predictor.predict(box=boxes, return_logits=True)
    with torch.autocast("cpu", torch.bfloat16):
        predictor.set_image(picture)
        found = predictor.predict(box=boxes, return_logits=True)
    for ours, exact in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, atol=0.1)


def test_stability_is_the_iou_of_two_thresholds():
    logits = torch.tensor([[[2.0, 0.5], [-0.5, -2.0]], [[-9.0, -9.0], [-9.0, -9.0]]])
    torch.testing.assert_close(stability_score(logits), torch.tensor([1 / 3, 0.0]))


def test_the_package_offers_it():
    assert edge_sam.SamPredictor is SamPredictor
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edge_sam.nothing
