from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from edge_sam.distill.losses import PromptLossWeights, mask_bce, mask_dice, valid_area
from edge_sam.distill.prompt_distillation import PromptDistillation
from edge_sam.distill.prompt_loop import PromptLoop
from edge_sam.modeling.sam import normalize_images
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import sample_clicks
from tests.distill.small_models import small_sam

BOX = PromptLoop(first_prompts=("box",))
POINT = PromptLoop(first_prompts=("point",))


def make_task(loop=BOX, weights=PromptLossWeights(), student=None, temperature=None):  # noqa: B008 - frozen
    teacher = small_sam(1)
    student = small_sam(2) if student is None else student
    student.prompt_encoder.load_state_dict(teacher.prompt_encoder.state_dict())
    return PromptDistillation(student, teacher.prompt_encoder, teacher.mask_decoder, loop, weights, temperature)


@pytest.fixture
def asked(monkeypatch):
    """Records the prompts of each round, as the prompt encoder gets them."""
    from edge_sam.modeling.prompt_encoder import PromptEncoder

    rounds = []
    forward = PromptEncoder.forward

    def spy(self, points, boxes, masks):
        rounds.append((points, boxes))
        return forward(self, points, boxes, masks)

    monkeypatch.setattr(PromptEncoder, "forward", spy)
    return rounds


def decode(task, batch, prompts, count):
    """What student and teacher say, step by step."""
    student = task.student
    embedding = student.image_encoder(normalize_images(batch.images, batch.sizes))
    encoded = student.prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
    pe = student.prompt_encoder.get_dense_pe()
    mine = student.mask_decoder(embedding, pe, *encoded, count, batch.image_index)
    theirs = task.teacher_mask_decoder(batch.teacher_embedding.float(), pe, *encoded, count, batch.image_index)
    return mine, theirs


@pytest.mark.parametrize(("loop", "count"), [(BOX, 1), (POINT, 4)])
def test_a_step_is_two_rounds_with_a_click_between(batch, asked, loop, count):
    task = make_task(loop).eval()
    losses = task(batch, step=0)
    rounds = list(asked)
    first = Prompts.from_boxes(batch.boxes) if loop is BOX else Prompts.from_points(batch.points)
    valid = valid_area(batch.sizes, (64, 64), 256)[batch.image_index]
    (masks, _), (target, score) = decode(task, batch, first, count)
    expected = [[loss(masks, target > 0, valid).mean() for loss in (mask_bce, mask_dice)]]
    best = score.argmax(1)
    every = torch.arange(len(best))
    points, labels = sample_clicks(target[every, best] > 0, masks[every, best] > 0, valid, batch.noise[:, :1], 4.0)
    second = first.add_points(points, labels)
    (masks, _), (target, _) = decode(task, batch, second, count)
    expected.append([loss(masks, target > 0, valid).mean() for loss in (mask_bce, mask_dice)])

    assert len(rounds) == 2
    assert torch.equal(rounds[1][0][0], second.points) and torch.equal(rounds[1][0][1], second.labels)
    assert (rounds[1][1] is None) == (loop is POINT)
    assert list(losses) == ["bce", "dice"]
    for position, name in enumerate(losses):
        torch.testing.assert_close(losses[name], 5 * (expected[0][position] + expected[1][position]) / 2)


def test_clicks_say_what_the_teacher_has(batch, asked):
    task = make_task(BOX).eval()
    task(batch, 0)
    (points, labels), _ = asked[1]
    assert points.shape == (6, 1, 2) and set(labels.flatten().tolist()) <= {-2, 0, 1}
    (masks, _), (target, _) = decode(task, batch, Prompts.from_boxes(batch.boxes), 1)
    for number in range(6):
        x, y = (points[number, 0] / 4).long().tolist()
        if labels[number] >= 0:
            assert (target[number, 0, y, x] > 0) == (labels[number, 0] == 1)
            assert (target[number, 0, y, x] > 0) != (masks[number, 0, y, x] > 0)
            assert y < 48  # not in the padding


def test_no_click_where_the_two_agree(batch, asked):
    student = small_sam(1)
    task = make_task(POINT, student=student).eval()
    student.image_encoder.eval()
    with torch.no_grad():
        batch = replace(batch, teacher_embedding=student.image_encoder(normalize_images(batch.images, batch.sizes)))
    task(batch, 0)
    assert asked[1][0][1].tolist() == [[1, -2]] * 6


def test_first_prompts_are_drawn_by_step_alone():
    loop = PromptLoop(seed=3)
    drawn = [loop.first_prompt(step) for step in range(200)]
    assert drawn == [PromptLoop(seed=3).first_prompt(step) for step in range(200)]
    assert 70 < drawn.count("box") < 130
    assert drawn != [PromptLoop(seed=4).first_prompt(step) for step in range(200)]


@pytest.mark.parametrize(
    ("loop", "shape"),
    [
        (replace(BOX, masks_from_boxes=4), (6, 4)),
        (replace(POINT, masks_from_points=3), (6, 3)),
        (replace(POINT, masks_from_points=1), (6, 1)),
    ],
)
def test_number_of_compared_masks(batch, monkeypatch, loop, shape):
    seen = []
    monkeypatch.setattr(
        "edge_sam.distill.losses.mask_bce",
        lambda logits, target, valid: seen.append(target.shape[:2]) or logits.mean(),
    )
    make_task(loop)(batch, 0)
    assert seen == [shape, shape]


def test_later_rounds_add_more_clicks(batch, asked):
    task = make_task(replace(POINT, rounds=3, clicks=1))
    task(batch, 0)
    assert [points.shape[1] for (points, _), _ in asked] == [1, 2, 3]
    asked.clear()
    make_task(replace(POINT, rounds=2, clicks=2))(batch, 0)
    assert [points.shape[1] for (points, _), _ in asked] == [1, 3]
    assert not torch.equal(asked[1][0][0][:, 1], asked[1][0][0][:, 2])


def test_without_its_box_a_step_has_one_round(batch, asked):
    make_task(replace(BOX, keep_box=False))(batch, 0)
    assert len(asked) == 1
    asked.clear()
    make_task(replace(POINT, keep_box=False))(batch, 0)
    assert len(asked) == 2


def test_all_losses_have_names_and_weights(batch):
    weights = PromptLossWeights(bce=1, dice=2, focal=3, iou=4, pixel_wise=5)
    losses = make_task(POINT, weights).eval()(batch, 0)
    doubled = make_task(POINT, PromptLossWeights(2, 4, 6, 8, 10)).eval()(batch, 0)
    assert list(losses) == ["bce", "dice", "focal", "iou", "pixel_wise"]
    for name, loss in losses.items():
        assert loss > 0
        torch.testing.assert_close(2 * loss, doubled[name])


def test_soft_targets(batch, monkeypatch):
    targets = []
    monkeypatch.setattr(
        "edge_sam.distill.losses.mask_bce",
        lambda logits, target, valid: targets.append(target) or logits.mean(),
    )
    make_task(replace(BOX, rounds=1)).eval()(batch, 0)
    make_task(replace(BOX, rounds=1), temperature=1.0).eval()(batch, 0)
    make_task(replace(BOX, rounds=1), temperature=4.0).eval()(batch, 0)
    hard, soft, softer = targets
    assert hard.dtype == torch.bool and torch.equal(hard, soft > 0.5)
    torch.testing.assert_close(softer.logit() * 4, soft.logit(), rtol=1e-3, atol=1e-3)


def test_iou_loss_is_the_squared_difference(batch):
    task = make_task(replace(BOX, rounds=1), PromptLossWeights(bce=0, dice=0, iou=1)).eval()
    (_, mine), (_, theirs) = decode(task, batch, Prompts.from_boxes(batch.boxes), 1)
    torch.testing.assert_close(task(batch, 0)["iou"], F.mse_loss(mine, theirs))


@pytest.mark.parametrize("loop", [BOX, POINT, PromptLoop()])
@pytest.mark.parametrize("weights", [PromptLossWeights(), PromptLossWeights(iou=1)])
def test_every_trainable_parameter_gets_a_gradient_in_every_step(batch, loop, weights):
    task = make_task(loop, weights)
    assert not task.skips_parameters
    for step in range(4):
        task.zero_grad()
        sum(task(batch, step).values()).backward()
        for name, parameter in task.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name


def test_what_no_loss_reaches_is_frozen():
    def trained(loop, weights=PromptLossWeights()):  # noqa: B008 - frozen
        decoder = make_task(loop, weights).student.mask_decoder
        networks = [network.layers[0].weight.requires_grad for network in decoder.output_hypernetworks_mlps]
        return networks, decoder.iou_prediction_head.layers[0].weight.requires_grad

    assert trained(BOX) == ([True, False, False, False], False)
    assert trained(POINT) == ([True] * 4, False)
    assert trained(replace(POINT, masks_from_points=3), PromptLossWeights(iou=1)) == ([False, True, True, True], True)


def test_frozen_parts_keep_their_batch_statistics(batch):
    student = small_sam(2)
    student.image_encoder.requires_grad_(False)
    task = make_task(BOX, student=student).train()
    before = {name: tensor.clone() for name, tensor in student.image_encoder.state_dict().items()}
    sum(task(batch, 0).values()).backward()
    assert not student.image_encoder.training and student.mask_decoder.training
    assert all(torch.equal(before[name], tensor) for name, tensor in student.image_encoder.state_dict().items())

    learning = make_task(BOX).train()
    mean = learning.student.image_encoder.norm.running_mean.clone()
    learning(batch, 0)
    assert not torch.equal(learning.student.image_encoder.norm.running_mean, mean)


def test_a_trainable_prompt_encoder_has_the_teacher_s_beside_it(batch):
    student = small_sam(2)
    student.prompt_encoder.requires_grad_(True)
    task = make_task(PromptLoop(), student=student)
    assert task.teacher_prompt_encoder is not None and task.skips_parameters
    sum(task(batch, 0).values()).backward()
    assert all(parameter.grad is None for parameter in task.teacher_prompt_encoder.parameters())
    assert student.prompt_encoder.no_mask_embed.weight.grad is not None
    assert make_task().teacher_prompt_encoder is None


def test_a_frozen_prompt_encoder_of_other_weights_does_not_stand_for_the_teacher_s():
    teacher, student = small_sam(1), small_sam(2)
    task = PromptDistillation(student, teacher.prompt_encoder, teacher.mask_decoder, BOX, PromptLossWeights())
    assert task.teacher_prompt_encoder is teacher.prompt_encoder
