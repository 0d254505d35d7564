from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from edge_sam.data.sa1b import collate
from edge_sam.distill.losses import PromptLossWeights, mask_bce, mask_dice, mask_iou
from edge_sam.distill.pixel_grouping import grouping_logits, surroundings
from edge_sam.distill.prompt_loop import PromptLoop, valid_pixels
from edge_sam.distill.prompt_supervision import PromptSupervision
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.sam import normalize_images
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import sample_clicks
from tests.distill.small_models import small_sam

BOX = PromptLoop(first_prompts=("box",))
POINT = PromptLoop(first_prompts=("point",))
WEIGHTS = PromptLossWeights(bce=1, dice=2, iou=3)


def make_task(loop=BOX, weights=WEIGHTS, student=None):
    student = small_sam(2) if student is None else student
    student.prompt_encoder.requires_grad_(True)
    return PromptSupervision(student, loop, weights)


@pytest.fixture
def decoded(monkeypatch):
    """Records prompt tokens and number of masks of each round."""
    rounds = []
    forward = MaskDecoder.forward

    def spy(self, embeddings, position, sparse, dense, count, image_index):
        rounds.append((sparse.shape[1], count))
        return forward(self, embeddings, position, sparse, dense, count, image_index)

    monkeypatch.setattr(MaskDecoder, "forward", spy)
    return rounds


def decode(task, batch, prompts, count):
    sam = task.student
    embedding = sam.image_encoder(normalize_images(batch.images, batch.sizes))
    encoded = sam.prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
    return sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), *encoded, count, batch.image_index)


def expected_losses(batch, masks, iou):
    """The three losses of a round, prompt by prompt."""
    target, valid = (batch.masks / 255)[:, None], valid_pixels(batch, 256)
    bce, dice = (loss(masks, target.expand_as(masks), valid) for loss in (mask_bce, mask_dice))
    trained = []
    for number in range(len(masks)):
        chosen = [0]
        if masks.shape[1] == 4:
            chosen.append(min((1, 2, 3), key=lambda k: (bce + 2 * dice)[number, k]))
        trained.append((sum(bce[number, k] for k in chosen), sum(dice[number, k] for k in chosen)))
    means = [torch.stack(values).mean() for values in zip(*trained, strict=True)]
    return {"bce": means[0], "dice": 2 * means[1], "iou": 3 * F.mse_loss(iou, mask_iou(masks > 0, target, valid))}


@pytest.mark.parametrize(("loop", "counts"), [(BOX, (1, 1)), (POINT, (4, 1))])
def test_a_step_is_two_rounds_with_a_click_on_what_is_wrong(masked_batch, loop, counts):
    batch = masked_batch
    task = make_task(loop).eval()
    first = Prompts.from_boxes(batch.boxes) if loop is BOX else Prompts.from_points(batch.points)
    masks, iou = decode(task, batch, first, counts[0])
    expected = [expected_losses(batch, masks, iou)]
    continued = masks[torch.arange(len(masks)), iou.argmax(1)] > 0
    clicks = sample_clicks(batch.masks >= 128, continued, valid_pixels(batch, 256), batch.noise[:, :1], 4.0)
    expected.append(expected_losses(batch, *decode(task, batch, first.add_points(*clicks), counts[1])))
    losses = task(batch, 0)
    assert list(losses) == ["bce", "dice", "iou"]
    for name, loss in losses.items():
        torch.testing.assert_close(loss, (expected[0][name] + expected[1][name]) / 2)


def test_one_point_alone_is_ambiguous(masked_batch, decoded):
    make_task(replace(POINT, rounds=3))(masked_batch, 0)
    assert decoded == [(2, 4), (3, 1), (4, 1)]  # with the padding point
    decoded.clear()
    make_task(replace(POINT, masks_from_points=1))(masked_batch, 0)
    assert decoded == [(2, 1), (3, 1)]
    decoded.clear()
    make_task(BOX)(masked_batch, 0)
    assert decoded == [(2, 1), (3, 1)]


def test_of_the_three_the_best_alone_learns(masked_batch):
    task = make_task(replace(POINT, rounds=1), PromptLossWeights(1, 2))
    batch = replace(masked_batch, **{
        name: getattr(masked_batch, name)[:1] for name in ("masks", "points", "boxes", "noise", "image_index")
    })  # fmt: skip
    masks, _ = decode(task.eval(), batch, Prompts.from_points(batch.points), 4)
    target, valid = (batch.masks / 255)[:, None], valid_pixels(batch, 256)
    losses = (mask_bce(masks, target, valid) + 2 * mask_dice(masks, target, valid))[0]
    best = 1 + int(losses[1:].argmin())
    sum(task(batch, 0).values()).backward()
    networks = task.student.mask_decoder.output_hypernetworks_mlps
    learnt = [bool(network.layers[0].weight.grad.any()) for network in networks]
    assert learnt == [number in (0, best) for number in range(4)]


def test_grouping_is_a_lesson_for_the_encoder_that_asks_no_prompt(masked_batch):
    student = small_sam(2)
    task = PromptSupervision(student, BOX, WEIGHTS, pixel_grouping=0.5).eval()
    embedding = student.image_encoder(normalize_images(masked_batch.images, masked_batch.sizes))
    target, valid = (masked_batch.masks / 255)[:, None], valid_pixels(masked_batch, 256)
    features = student.mask_decoder.output_upscaling(embedding)
    logits = grouping_logits(features, target, masked_batch.image_index)
    near = valid & surroundings(masked_batch.boxes, 64, 256)
    expected = mask_bce(logits, target, near).mean() + 2 * mask_dice(logits, target, near).mean()
    losses = task(masked_batch, 0)
    torch.testing.assert_close(losses["grouping"], 0.5 * expected)
    losses["grouping"].backward()
    reached = {name.split(".")[1] for name, p in task.named_parameters() if p.grad is not None}
    assert reached == {"image_encoder", "mask_decoder"}
    assert all("output_upscaling" in n for n, p in student.mask_decoder.named_parameters() if p.grad is not None)


def test_padding_does_not_matter(masked_batch):
    task = make_task().eval()
    padding = ~valid_pixels(masked_batch, 256)
    assert padding.any()
    other = replace(masked_batch, masks=masked_batch.masks | padding.to(torch.uint8) * 255)
    for name, loss in task(masked_batch, 0).items():
        torch.testing.assert_close(task(other, 0)[name], loss)


def test_the_true_iou_is_no_way_to_learn_masks(masked_batch):
    task = make_task(replace(BOX, rounds=1), PromptLossWeights(bce=1e-9, dice=0, iou=1))
    sum(task(masked_batch, 0).values()).backward()
    grown = {name for name, p in task.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-6}
    assert grown and not any("output_hypernetworks" in name or "output_upscaling" in name for name in grown)


def test_stored_embeddings_are_the_frozen_encoder_s(masked_batch):
    student = small_sam(2)
    student.image_encoder.requires_grad_(False)
    online = PromptSupervision(student, PromptLoop(), WEIGHTS)
    with torch.no_grad():
        embedding = student.image_encoder(normalize_images(masked_batch.images, masked_batch.sizes))
    stored = PromptSupervision(student, PromptLoop(), WEIGHTS, stored_embeddings=True)
    batch = replace(masked_batch, teacher_embedding=embedding)
    for step in range(4):
        for name, loss in online(masked_batch, step).items():
            torch.testing.assert_close(stored(batch, step)[name], loss)
    assert not torch.equal(stored(replace(batch, teacher_embedding=-embedding), 0)["bce"], stored(batch, 0)["bce"])


def test_what_cannot_be_is_refused(batch):
    with pytest.raises(EdgeSamError, match="holds no masks"):
        make_task()(batch, 0)
    with pytest.raises(ValueError, match="frozen encoder"):
        PromptSupervision(small_sam(0), BOX, WEIGHTS, stored_embeddings=True)
    with pytest.raises(ValueError, match="no embedding loss"):
        make_task(BOX, PromptLossWeights(pixel_wise=1))
    with pytest.raises(ValueError, match="single mask"):
        make_task(replace(POINT, masks_from_points=3))


@pytest.mark.parametrize("loop", [BOX, POINT, PromptLoop(), replace(PromptLoop(), masks_from_points=1)])
@pytest.mark.parametrize("weights", [WEIGHTS, PromptLossWeights()])
def test_a_step_leaves_only_embeddings_of_absent_prompts_without_gradient(masked_batch, loop, weights):
    task = make_task(loop, weights)
    assert task.skips_parameters
    task.student.prompt_encoder.requires_grad_(False)
    assert not PromptSupervision(task.student, loop, weights).skips_parameters
    task.student.prompt_encoder.requires_grad_(True)
    task = PromptSupervision(task.student, loop, weights)
    for step in range(4):
        task.zero_grad()
        sum(task(masked_batch, step).values()).backward()
        skipped = {name for name, p in task.named_parameters() if p.requires_grad and p.grad is None}
        assert all(name.startswith("student.prompt_encoder.") for name in skipped)
        assert all(p.grad is None for p in task.parameters() if not p.requires_grad)


def test_frozen_parts_keep_their_batch_statistics(masked_batch):
    student = small_sam(2)
    student.image_encoder.requires_grad_(False)
    task = PromptSupervision(student, BOX, WEIGHTS).train()
    before = {name: tensor.clone() for name, tensor in student.image_encoder.state_dict().items()}
    task(masked_batch, 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in student.image_encoder.state_dict().items())
    assert student.mask_decoder.training


def ious(task, batch, prompts, count):
    with torch.no_grad():
        masks, scores = decode(task, batch, prompts, count)
    return mask_iou(masks > 0, (batch.masks / 255)[:, None], valid_pixels(batch, 256)), scores


@pytest.mark.slow
def test_it_learns_a_picture_s_masks_by_heart(masked_dataset):
    batch = collate([masked_dataset[0]])
    torch.manual_seed(0)
    task = make_task(PromptLoop(), PromptLossWeights(bce=1, dice=1, iou=1))
    box, point = Prompts.from_boxes(batch.boxes), Prompts.from_points(batch.points)
    assert ious(task.eval(), batch, box, 1)[0].mean() < 0.4
    task.train()
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=1e-3)
    for step in range(60):
        optimizer.zero_grad()
        sum(task(batch, step).values()).backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
    task.eval()
    from_box, scores = ious(task, batch, box, 1)
    from_point, _ = ious(task, batch, point, 4)
    assert from_box.mean() > 0.8
    assert from_point[:, 1:].amax(dim=1).mean() > 0.8
    assert (scores - from_box).abs().mean() < 0.15
