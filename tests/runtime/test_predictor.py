import tracemalloc

import numpy as np
import pytest

from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.runtime.predictor import GraphPredictor
from tests.runtime.graphs import disc_graphs

PICTURE = np.zeros((96, 128, 3), np.uint8)  # half as large as its 48 x 64 input pixels
ONE = np.ones(1, int)


def predictor(picture=PICTURE, **options) -> GraphPredictor:
    made = GraphPredictor(disc_graphs(**options))
    if picture is not None:
        made.set_image(picture)
    return made


def test_a_point_is_scaled_to_input_pixels_and_its_mask_to_the_picture():
    masks, scores, logits = predictor().predict(np.array([[40, 60]]), ONE)
    assert masks.shape == (3, 96, 128) and masks.dtype == bool
    assert logits.shape == (3, 16, 16)
    np.testing.assert_array_equal(scores, [1, 2, 3])
    rows, columns = np.nonzero(masks[2])
    assert abs(rows.mean() - 60) < 2 and abs(columns.mean() - 40) < 2
    assert masks[2].sum() == pytest.approx(np.pi * 32**2, rel=0.1)  # radius 16 input pixels


@pytest.mark.parametrize(("count", "scores"), [(1, [0]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])])
def test_the_masks_asked_for_are_chosen_from_the_four(count, scores):
    found = predictor().predict(np.array([[40, 60]]), ONE, num_multimask_outputs=count)
    np.testing.assert_array_equal(found[1], scores)
    assert len(found[0]) == len(found[2]) == count


def test_a_graph_of_other_masks_gives_its_own_and_refuses_the_rest():
    single = predictor(num_multimask_outputs=1)
    assert len(single.predict(np.array([[40, 60]]), ONE, num_multimask_outputs=1)[0]) == 1
    with pytest.raises(EdgeSamError, match="exported with 1 masks a prompt, not 3"):
        single.predict(np.array([[40, 60]]), ONE)


def test_a_box_is_two_points_behind_the_others():
    asked = predictor()
    asked.predict(np.array([[40, 60], [2, 4]]), np.array([1, 0]), box=np.array([10, 20, 30, 40]))
    inputs = asked.graphs.decoder.calls[-1]
    np.testing.assert_array_equal(inputs["point_labels"], [[1, 0, 2, 3]])
    np.testing.assert_array_equal(inputs["point_coords"], [[[20, 30], [1, 2], [5, 10], [15, 20]]])
    assert inputs["point_coords"].dtype == inputs["point_labels"].dtype == np.float32
    np.testing.assert_array_equal(inputs["has_mask_input"], [0])


def test_prompts_of_many_objects_are_answered_at_once():
    asked = predictor()
    boxes = np.array([[10, 20, 30, 40], [0, 0, 100, 50]])
    masks, scores, logits = asked.predict(box=boxes)
    assert masks.shape == (2, 3, 96, 128) and scores.shape == (2, 3) and logits.shape == (2, 3, 16, 16)
    for index, box in enumerate(boxes):
        np.testing.assert_array_equal(asked.predict(box=box)[0], masks[index])


def test_many_prompts_are_decoded_part_by_part():
    asked = predictor()
    points = np.random.default_rng(0).uniform(0, 90, (70, 1, 2))
    together = asked.predict(points, np.ones((70, 1), int))
    assert [len(call["point_coords"]) for call in asked.graphs.decoder.calls] == [64, 6]
    for index in (0, 63, 64, 69):
        for a, b in zip(together, asked.predict(points[index], ONE), strict=True):
            np.testing.assert_array_equal(a[index], b)


@pytest.mark.parametrize("return_logits", [False, True])
def test_masks_of_many_prompts_are_not_held_twice(return_logits):
    asked = predictor(np.zeros((600, 800, 3), np.uint8))
    boxes = np.tile(np.array([100, 100, 500, 500]), (10, 1))
    asked.predict(box=boxes[:1])
    tracemalloc.start()
    masks = asked.predict(box=boxes, return_logits=return_logits)[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert masks.nbytes < peak < 1.4 * masks.nbytes


def test_masks_that_a_graph_enlarges_are_taken_as_they_are():
    asked = predictor(postprocess=True)
    small, large = asked.graphs.decoder, np.random.default_rng(0).normal(size=(1, 4, 96, 128)).astype(np.float32)
    asked.graphs.decoder = lambda inputs: [*small(inputs), large]
    masks, logits = (asked.predict(np.array([[40, 60]]), ONE, return_logits=wanted)[0] for wanted in (False, True))
    np.testing.assert_array_equal(logits, large[0, 1:])
    np.testing.assert_array_equal(masks, large[0, 1:] > 0)
    np.testing.assert_array_equal(small.calls[-1]["orig_im_size"], [96, 128])


@pytest.mark.parametrize("postprocess", [False, True])
def test_no_object_has_no_mask(postprocess):
    masks, scores, logits = predictor(postprocess=postprocess).predict(box=np.zeros((0, 4)))
    assert masks.shape == (0, 3, 96, 128) and scores.shape == (0, 3) and logits.shape == (0, 3, 16, 16)


def test_a_mask_alone_is_a_prompt():
    asked = predictor()
    mask = np.ones((1, 16, 16))
    asked.predict(mask_input=mask)
    inputs = asked.graphs.decoder.calls[-1]
    assert inputs["point_coords"].shape == (1, 0, 2)
    np.testing.assert_array_equal(inputs["mask_input"], mask[None])
    np.testing.assert_array_equal(inputs["has_mask_input"], [1])


def test_prompts_with_a_mask_each_are_decoded_one_by_one():
    asked = predictor()
    points = np.array([[[10, 10]], [[40, 30]]], np.float32)
    masks = np.stack([np.zeros((1, 16, 16)), np.ones((1, 16, 16))])
    together = asked.predict_batch(points, np.ones((2, 1), int), mask_input=masks)
    assert [len(call["point_coords"]) for call in asked.graphs.decoder.calls] == [1, 1]
    np.testing.assert_array_equal(asked.graphs.decoder.calls[1]["mask_input"], masks[1:])
    for index in range(2):
        alone = asked.predict_batch(points[index : index + 1], np.ones((1, 1), int))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[index], b[0])


def test_stability_is_computed_where_the_graph_does_not():
    wanted = predictor().predict(np.array([[40, 60]]), ONE, use_stability_score=True)[1]
    assert (wanted > 0).all() and (wanted < 1).all()
    stable = predictor(use_stability_score=True)
    np.testing.assert_array_equal(stable.predict(np.array([[40, 60]]), ONE, use_stability_score=True)[1], [1, 2, 3])
    with pytest.raises(EdgeSamError, match="does not predict the IoU"):
        stable.predict(np.array([[40, 60]]), ONE)


def test_a_graph_that_preprocesses_is_given_the_picture():
    asked = predictor(preprocess=True)
    assert asked.graphs.encoder.calls[0]["image"] is PICTURE
    assert asked.input_size == (48, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no prompt"),
        ({"point_coords": np.array([[1, 2]])}, "come together"),
        ({"point_coords": np.array([[1, 2]]), "point_labels": np.array([5])}, "label is 1"),
        ({"point_coords": np.array([[1, 2]]), "point_labels": np.array([1, 0])}, r"point_coords has shape \(1, 2\)"),
        ({"point_coords": np.array([[1, 200]]), "point_labels": ONE}, "outside"),
        ({"point_coords": np.array([[1, np.nan]]), "point_labels": ONE}, "finite"),
        ({"box": np.array([1, 2, 3])}, r"box has shape \(3,\)"),
        ({"box": np.array([1, 2, np.inf, 4])}, "finite"),
        ({"mask_input": np.zeros((1, 8, 8))}, "mask_input has shape"),
        ({"box": np.array([1, 2, 3, 4]), "num_multimask_outputs": 2}, "1, 3 or 4"),
    ],
)
def test_other_prompts_are_refused(arguments, message):
    with pytest.raises(EdgeSamError, match=message):
        predictor().predict(**arguments)


@pytest.mark.parametrize("multimask_output", [True, False, np.True_])
def test_segment_anythings_fifth_argument_is_not_taken_for_a_number(multimask_output):
    message = f"not {multimask_output}: for segment-anything's multimask_output say 3 for True, 1 for False"
    with pytest.raises(EdgeSamError, match=message):
        predictor().predict(np.array([[40, 60]]), ONE, None, None, multimask_output)
    with pytest.raises(EdgeSamError, match=message):
        predictor(num_multimask_outputs=multimask_output)


@pytest.mark.parametrize("boxes", [None, np.array([[10, 20, 30, 40]])])
@pytest.mark.parametrize("given", [{"point_coords": np.ones((1, 1, 2)), "point_labels": None},
                                   {"point_coords": None, "point_labels": np.ones((1, 1), int)}])  # fmt: skip
def test_points_and_labels_come_together_in_a_batch_too(given, boxes):
    with pytest.raises(EdgeSamError, match=r"point_coords and point_labels .* come together"):
        predictor().predict_batch(**given, boxes=boxes)


@pytest.mark.parametrize("output", [0, 1])
def test_answers_that_are_no_numbers_are_an_error_not_empty_masks(output):
    asked = predictor()
    answers = asked.graphs.decoder({"point_coords": np.zeros((1, 1, 2), np.float32)})
    answers[output] = answers[output] * np.nan
    asked.graphs.decoder = lambda inputs: answers
    with pytest.raises(NotFiniteError, match="the network answers with NaN or infinity"):
        asked.predict(np.array([[40, 60]]), ONE)


def test_there_is_no_answer_without_an_image():
    without = predictor(picture=None)
    with pytest.raises(EdgeSamError, match="no image was set"):
        without.predict(np.array([[40, 60]]), ONE)
    asked = predictor()
    with pytest.raises(EdgeSamError):
        asked.set_image(np.zeros((3, 3)))
    assert asked.is_image_set
    asked.reset_image()
    assert not asked.is_image_set
    with pytest.raises(EdgeSamError, match="no image was set"):
        asked.get_image_embedding()
