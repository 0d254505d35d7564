from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sam.evaluation import simulated_user
from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.ground_truth import Truth
from edge_sam.evaluation.instances import EvaluationDataset, EvaluationImage
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.simulated_user import measure_image
from edge_sam.inference.upsampling import MaskUpsampler
from tests.evaluation import naive
from tests.evaluation.disc_sam import DiscSam

EMBEDDING = torch.zeros(1, 256, 16, 16)


class Saying(DiscSam):
    """Gives the logits (n, K, 64, 64) it was made with, whatever it is asked, anew each round; discs without."""

    def __init__(self, *logits):
        super().__init__()
        rounds = iter(logits)
        if logits:
            self.mask_decoder.forward = lambda *_: (
                answer := next(rounds),
                torch.arange(answer.shape[1]).expand(len(answer), -1),
            )


class Listening(Saying):
    """Remembers the prompts it was given."""

    def __init__(self, *logits):
        super().__init__(*logits)
        self.heard = []
        encode = self.prompt_encoder.forward
        self.prompt_encoder.forward = lambda points, boxes, masks: (
            self.heard.append((points, boxes)) or encode(points, boxes, masks)
        )


def prepare(val_split, protocol):
    return EvaluationDataset(val_split, [protocol])[0]


@pytest.mark.parametrize("ground_truth", ["exact", "edgesam"])
def test_truth_as_prediction_is_one_in_every_round(val_split, ground_truth, monkeypatch):
    protocol = EvaluationProtocol("point", "mask-center", 2, ground_truth=ground_truth)
    image = prepare(val_split, protocol)
    truths = image.truths[ground_truth].masks
    monkeypatch.setattr(MaskUpsampler, "windows", lambda *_: [mask.window for mask in truths])
    answers = iter([mask.crop() for mask in truths] * 3)
    monkeypatch.setattr(MaskUpsampler, "binary_mask", lambda *_: torch.from_numpy(next(answers)))
    iou = measure_image(DiscSam(), EMBEDDING, image, protocol, 100).iou
    assert iou.shape == (len(image.boxes), 3)
    assert (iou == 1).all()


def random_image(rng, original, size, count):
    """An image whose instances are rectangles of noise, among them full and one-pixel ones."""
    masks = []
    for number in range(count):
        top, left = (int(rng.integers(0, side)) for side in original)
        crop = rng.random((rng.integers(1, original[0] - top + 1), rng.integers(1, original[1] - left + 1))) < 0.6
        crop[0, 0] = True
        masks.append(
            CroppedMask.from_crop(
                crop if number else np.ones(original, dtype=bool), *((top, left) if number else (0, 0))
            )
        )
    middle = np.array([[(mask.window.left + mask.window.right) / 2, mask.window.top] for mask in masks], np.float32)
    return EvaluationImage(
        index=0, image_id="noise", pixels=torch.zeros(3, *size), size=size, original_size=original,
        boxes=np.concatenate([middle, middle + 5], axis=1), names=tuple(range(count)),
        areas=np.array([mask.area for mask in masks]), sha256="", points={"point": middle},
        truths={"exact": Truth(masks, np.ones(count, dtype=bool), {})}, refusals=(),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), original=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    size=st.tuples(st.integers(1, 256), st.integers(1, 256)), outputs=st.sampled_from([1, 3]),
    level=st.sampled_from([-3.0, 0.0, 3.0]),
)  # fmt: skip
def test_crops_give_the_numbers_and_the_clicks_of_the_whole_canvas(seed, original, size, outputs, level):
    rng = np.random.default_rng(seed)
    image = random_image(rng, original, size, 4)
    generator = torch.Generator().manual_seed(seed)
    coarse = [torch.randn(4, outputs, 6, 6, generator=generator) * 4 + level for _ in range(3)]
    logits = [torch.nn.functional.interpolate(one, (64, 64), mode="bicubic") for one in coarse]
    protocol = EvaluationProtocol("box", "point", 2, outputs, "oracle" if outputs > 1 else "score")
    expected = naive.measure(heard := Listening(*logits), EMBEDDING, image, protocol, lambda masks, _: masks)
    found = measure_image(again := Listening(*logits), EMBEDDING, image, protocol, 100)
    assert found.iou.tolist() == expected.tolist() and not found.failed.any()
    for (points, boxes), (other_points, other_boxes) in zip(again.heard, heard.heard, strict=True):
        assert torch.equal(boxes, other_boxes)
        assert (points is None and other_points is None) or all(map(torch.equal, points, other_points))


@pytest.mark.parametrize("protocol", [
    EvaluationProtocol("box", refine_iters=2),
    EvaluationProtocol("point", "mask-center", 2, ground_truth="edgesam"),
    EvaluationProtocol("point", "mask-rand", 1, 4, "oracle"),
])  # fmt: skip
def test_pictures_are_measured_as_on_the_whole_canvas(val_split, protocol):
    image = prepare(val_split, protocol)
    expected = naive.measure(DiscSam(), EMBEDDING, image, protocol, lambda masks, _: masks)
    found = measure_image(DiscSam(), EMBEDDING, image, protocol, 100)
    assert found.iou.tolist() == expected.tolist() and found.boundary_iou is None
    outlined = measure_image(DiscSam(), EMBEDDING, image, replace(protocol, boundary=True), 2)
    of_boundaries = naive.measure(DiscSam(), EMBEDDING, image, protocol, lambda masks, _: masks, boundary=True)
    assert outlined.iou.tolist() == expected.tolist()
    assert outlined.boundary_iou.tolist() == of_boundaries.tolist()
    assert 0 < outlined.boundary_iou.mean() < outlined.iou.mean()


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("outputs", [1, 3])
def test_answers_that_are_no_numbers_are_failures(val_split, number, outputs):
    protocol = EvaluationProtocol("box", refine_iters=2, num_multimask_outputs=outputs)
    image = prepare(val_split, protocol)
    count = len(image.boxes)
    sound = torch.full((count, outputs, 64, 64), 5.0)
    broken = sound.clone()
    broken[1, -1, 30, 7] = number
    found = measure_image(Saying(sound, broken, sound), EMBEDDING, image, protocol, 100)
    assert np.argwhere(found.failed).tolist() == [[1, 1]]
    assert found.iou[1, 1] == 0
    expected = measure_image(Saying(sound, sound, sound), EMBEDDING, image, protocol, 100).iou
    kept = ~found.failed
    assert (found.iou[kept] == expected[kept]).all() and (expected > 0).all()


def test_answers_that_do_not_count_are_no_failures(val_split, monkeypatch):
    monkeypatch.setattr(simulated_user, "MIN_CLICK_PIXELS", 10**9)
    protocol = EvaluationProtocol("box", refine_iters=1)
    image = prepare(val_split, protocol)
    sound = torch.full((len(image.boxes), 1, 64, 64), 5.0)
    found = measure_image(Saying(sound, sound * torch.nan), EMBEDDING, image, protocol, 100)
    assert not found.failed.any() and (found.iou[:, 1] == found.iou[:, 0]).all()


def test_scores_that_are_no_numbers_are_failures(val_split):
    protocol = EvaluationProtocol("box", num_multimask_outputs=3)
    image = prepare(val_split, protocol)
    sam = DiscSam()
    decode = sam.mask_decoder.forward
    sam.mask_decoder.forward = lambda *given: (decode(*given)[0], decode(*given)[1] * torch.nan)
    found = measure_image(sam, EMBEDDING, image, protocol, 100)
    assert found.failed.all() and not found.iou.any()


def test_rounds_keep_the_first_prompt_and_add_a_click_in_the_error(val_split):
    protocol = EvaluationProtocol("box", refine_iters=2)
    image = prepare(val_split, protocol)
    sam = Listening()
    measure_image(sam, EMBEDDING, image, protocol, 100)
    assert len(sam.heard) == 3, "no round more than asked for"
    assert sam.heard[0][0] is None
    for number, (points, boxes) in enumerate(sam.heard):
        assert boxes.tolist() == image.boxes.tolist()
        assert points is None if number == 0 else points[0].shape[1] == number
    assert torch.equal(sam.heard[2][0][0][:, :1], sam.heard[1][0][0])

    height, width = image.original_size
    truth = torch.from_numpy(
        np.stack([naive.whole(mask, (height, width)) for mask in image.truths["exact"].masks])
    ).bool()
    low_res, _ = sam.mask_decoder(
        EMBEDDING, None, sam.prompt_encoder(None, torch.from_numpy(image.boxes), None)[0], None, 1
    )
    predicted = sam.postprocess_masks(low_res, image.size, image.original_size)[:, 0] > 0
    points, labels = sam.heard[1][0]
    scale = torch.tensor([image.size[1] / width, image.size[0] / height])
    for n, ((x, y), label) in enumerate(zip((points[:, 0] / scale).round().long(), labels[:, 0], strict=True)):
        assert truth[n, y, x] != predicted[n, y, x], "the click is where the two differ"
        assert label == truth[n, y, x]


def test_clicks_mend_a_mask(val_split):
    protocol = EvaluationProtocol("point", "mask-center", refine_iters=3)
    iou = measure_image(DiscSam(), EMBEDDING, prepare(val_split, protocol), protocol, 100).iou.mean(axis=0)
    assert (np.diff(iou) > 0).all()


def test_content_user_keeps_the_last_result(val_split, monkeypatch):
    """With nothing left to click on, later answers to the ignored click do not count."""
    monkeypatch.setattr(simulated_user, "MIN_CLICK_PIXELS", 10**9)
    protocol = EvaluationProtocol("box", refine_iters=2)
    image = prepare(val_split, protocol)
    sam = DiscSam()
    answers = iter([0.0, 30.0, 60.0])
    decode = sam.mask_decoder.forward
    sam.mask_decoder.forward = lambda *args: (decode(*args)[0] + next(answers), decode(*args)[1])
    iou = measure_image(sam, EMBEDDING, image, protocol, 100).iou
    assert (iou[:, 1:] == iou[:, :1]).all()
    assert iou.tolist() == measure_image(DiscSam(), EMBEDDING, image, protocol, 100).iou.tolist()


@pytest.mark.parametrize("select", ["score", "stability", "area", "oracle"])
@pytest.mark.parametrize("outputs", [3, 4])
def test_prompt_chunks_change_nothing(val_split, select, outputs):
    protocol = EvaluationProtocol("point", "mask-rand", 1, outputs, select)
    image = prepare(val_split, protocol)
    whole = measure_image(DiscSam(), EMBEDDING, image, protocol, 100).iou
    for chunk in (1, 2):
        assert whole.tolist() == measure_image(DiscSam(), EMBEDDING, image, protocol, chunk).iou.tolist()


def test_oracle_is_the_best_of_the_masks(val_split):
    protocols = {
        name: EvaluationProtocol("point", "mask-center", 0, outputs, select)
        for name, outputs, select in (("single", 1, "score"), ("score", 4, "score"), ("oracle", 4, "oracle"))
    }
    image = prepare(val_split, protocols["oracle"])
    iou = {name: measure_image(DiscSam(), EMBEDDING, image, one, 100).iou[:, 0] for name, one in protocols.items()}
    assert (iou["oracle"] >= iou["single"]).all() and (iou["oracle"] >= iou["score"]).all()
    assert iou["oracle"].mean() > max(iou["single"].mean(), iou["score"].mean())
