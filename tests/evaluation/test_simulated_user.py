import numpy as np
import pytest
import torch

from edge_sam.evaluation import simulated_user
from edge_sam.evaluation.ground_truth import unpack
from edge_sam.evaluation.instances import EvaluationDataset
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.simulated_user import mask_iou, measure_image, select_masks
from tests.evaluation.disc_sam import DiscSam

EMBEDDING = torch.zeros(1, 256, 16, 16)


class Listening(DiscSam):
    """Remembers the prompts it was given."""

    def __init__(self):
        super().__init__()
        self.heard = []
        encode = self.prompt_encoder.forward
        self.prompt_encoder.forward = lambda points, boxes, masks: (
            self.heard.append((points, boxes)) or encode(points, boxes, masks)
        )


class Knowing(DiscSam):
    """Answers with the ground truth, whatever it is asked; instances in order."""

    def __init__(self, image, ground_truth):
        super().__init__()
        self.truth = unpack(torch.from_numpy(image.truths[ground_truth].bits), image.original_size[1])

    def postprocess_masks(self, masks, size, original_size):
        return self.truth[: len(masks), None].float() * 2 - 1


def prepare(val_split, protocol):
    return EvaluationDataset(val_split, [protocol])[0]


@pytest.mark.parametrize("ground_truth", ["exact", "edgesam"])
def test_truth_as_prediction_is_one_in_every_round(val_split, ground_truth):
    protocol = EvaluationProtocol("point", "mask-center", 2, ground_truth=ground_truth)
    image = prepare(val_split, protocol)
    iou = measure_image(Knowing(image, ground_truth), EMBEDDING, image, protocol, 100)
    assert iou.shape == (len(image.boxes), 3)
    assert (iou == 1).all()


def test_iou_is_that_of_the_masks():
    rng = np.random.default_rng(0)
    masks, truth = rng.random((3, 2, 9, 11)) < 0.4, rng.random((3, 9, 11)) < 0.5
    found = mask_iou(torch.from_numpy(masks), torch.from_numpy(truth))
    for n in range(3):
        for k in range(2):
            expected = (masks[n, k] & truth[n]).sum() / (masks[n, k] | truth[n]).sum()
            assert found[n, k].item() == pytest.approx(expected, abs=1e-12)
    assert mask_iou(torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)).item() == 0


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
    truth = unpack(torch.from_numpy(image.truths["exact"].bits), width)
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
    iou = measure_image(DiscSam(), EMBEDDING, prepare(val_split, protocol), protocol, 100).mean(axis=0)
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
    iou = measure_image(sam, EMBEDDING, image, protocol, 100)
    assert (iou[:, 1:] == iou[:, :1]).all()
    assert (
        iou.tolist()
        == measure_image(DiscSam(), EMBEDDING, image, EvaluationProtocol("box", refine_iters=2), 100).tolist()
    )


@pytest.mark.parametrize("select", ["score", "area", "oracle"])
@pytest.mark.parametrize("outputs", [3, 4])
def test_prompt_chunks_and_memory_chunks_change_nothing(val_split, monkeypatch, select, outputs):
    protocol = EvaluationProtocol("point", "mask-rand", 1, outputs, select)
    image = prepare(val_split, protocol)
    whole = measure_image(DiscSam(), EMBEDDING, image, protocol, 100)
    assert whole.tolist() == measure_image(DiscSam(), EMBEDDING, image, protocol, 1).tolist()
    monkeypatch.setattr(simulated_user, "_MAX_PIXELS", 1)
    assert whole.tolist() == measure_image(DiscSam(), EMBEDDING, image, protocol, 2).tolist()


def test_oracle_is_the_best_of_the_masks(val_split):
    protocols = {
        name: EvaluationProtocol("point", "mask-center", 0, outputs, select)
        for name, outputs, select in (("single", 1, "score"), ("score", 4, "score"), ("oracle", 4, "oracle"))
    }
    image = prepare(val_split, protocols["oracle"])
    iou = {name: measure_image(DiscSam(), EMBEDDING, image, one, 100)[:, 0] for name, one in protocols.items()}
    assert (iou["oracle"] >= iou["single"]).all() and (iou["oracle"] >= iou["score"]).all()
    assert iou["oracle"].mean() > max(iou["single"].mean(), iou["score"].mean())


def test_select_by_score_and_by_area_without_padding():
    masks = torch.full((2, 3, 8, 8), -1.0)
    masks[0, 1, :2] = 1
    masks[0, 2, 6:] = 1
    masks[0, 2, 5:, :3] = 1
    masks[1, 0, 0] = 1
    scores = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.2, 0.9]])
    assert torch.equal(select_masks(masks, scores, "score", (8, 8)), masks[[0, 1], [0, 2]][:, None])
    assert torch.equal(select_masks(masks, scores, "area", (8, 8)), masks[[0, 1], [2, 0]][:, None])
    assert torch.equal(select_masks(masks, scores, "area", (5, 8)), masks[[0, 1], [1, 0]][:, None])
    assert torch.equal(select_masks(masks, scores, "oracle", (8, 8)), masks)
    assert torch.equal(select_masks(masks[:, :1], scores[:, :1], "area", (8, 8)), masks[:, :1])
