import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from edge_sam.config import load_config
from edge_sam.data.sa1b import Refusal, collate
from edge_sam.data.sampler import ResumableSampler
from edge_sam.distill.run_folder import RunFolder
from edge_sam.distill.schedule import LearningRate
from edge_sam.distill.stop_signal import StopSignal
from edge_sam.distill.trainer import Trainer, TrainerSettings
from edge_sam.distributed import World
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.mask_decoder import MaskDecoder
from tests.distill.conftest import ALONE, PHASE_1, ROOT


class ToyTask(nn.Module):
    """Its one weight wants to be the mean brightness; the student is something that has official names."""

    skips_parameters = False

    def __init__(self):
        super().__init__()
        self.student = MaskDecoder()
        self.student.requires_grad_(False)
        self.weight = nn.Parameter(torch.zeros(2))
        self.seen = []

    def forward(self, batch, step):
        self.seen.append((step, batch.image_ids))
        brightness = batch.images.float().mean(dim=(1, 2, 3)) / 255
        distance = (brightness - self.weight[0]).square().mean()
        return {"one": distance, "two": 0.5 * self.weight[1] + distance}


@pytest.fixture
def build(dataset, tmp_path):
    config = load_config(ROOT / "training" / "configs" / f"{PHASE_1}.yaml", opts=("OUTPUT", str(tmp_path)))

    def make(settings, batch_size=2, task=None):
        torch.manual_seed(0)
        task = task or ToyTask()
        sampler = ResumableSampler(len(dataset), batch_size=batch_size)
        loader = DataLoader(dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate)
        optimizer = torch.optim.SGD([{"params": [task.weight], "lr_scale": 1.0}], lr=0.0)
        rate = LearningRate(0.1, 0.1, 0.1, steps=8, warmup_steps=0)
        folder = RunFolder(config, ALONE)
        return Trainer(task, optimizer, rate, loader, sampler, folder, ALONE, settings, {}, "")

    return make


def records(trainer):
    return [json.loads(line) for line in (trainer.folder.path / "metrics.jsonl").read_text().splitlines()]


def test_each_group_learns_at_its_own_rate(build):
    trainer = build(TrainerSettings(epochs=1))
    group = trainer.optimizer.param_groups[0]
    group["lr_scale"] = 0.25
    trainer.run(StopSignal())
    assert group["lr"] == 0.25 * trainer.rate.at(3)


def test_runs_through_its_epochs(build):
    trainer = build(TrainerSettings(epochs=2, print_freq=2))
    assert trainer.run(StopSignal())
    assert [step for step, _ in trainer.task.seen] == list(range(8))
    assert sorted(name for _, ids in trainer.task.seen[:4] for name in ids) == list(trainer.loader.dataset.ids)
    assert sorted(path.name for path in trainer.folder.path.glob("*.pth")) == ["ckpt_epoch_0.pth", "ckpt_epoch_1.pth"]
    assert [(record["step"], record["epoch"]) for record in records(trainer)] == [(2, 0), (4, 0), (6, 1), (8, 1)]
    assert {"train/one", "train/two", "train/loss", "train/learning_rate"} <= set(records(trainer)[0])


def test_accumulated_batches_make_the_step_of_one_large_batch(build):
    large = build(TrainerSettings(epochs=1), batch_size=4)
    large.run(StopSignal())
    small = build(TrainerSettings(epochs=1, accumulation_steps=4), batch_size=1)
    small.run(StopSignal())
    assert small.steps_in_epoch == large.steps_in_epoch == 2
    torch.testing.assert_close(small.task.weight, large.task.weight)
    assert [step for step, _ in small.task.seen] == list(range(8))


def test_batches_that_fill_no_step_are_left_out(build):
    trainer = build(TrainerSettings(epochs=2, accumulation_steps=3))
    trainer.run(StopSignal())
    assert trainer.step == 2
    assert [step for step, _ in trainer.task.seen] == [0, 1, 2, 4, 5, 6]


def test_an_epoch_whose_rest_fills_no_larger_step_ends(build):
    trainer = build(TrainerSettings(epochs=2, accumulation_steps=2))
    trainer.sampler.set_position(0, 6)  # saved with accumulation_steps=1: one batch is left
    assert trainer.run(StopSignal())
    assert [step for step, _ in trainer.task.seen] == [4, 5, 6, 7]
    assert sorted(path.name for path in trainer.folder.path.glob("*.pth")) == ["ckpt_epoch_0.pth", "ckpt_epoch_1.pth"]


class Scores:
    """A validation that measures nothing."""

    def measure(self):
        return {"mean": 0.5}, (Refusal("lost", "truncated"),)


def test_a_run_from_another_folder_s_checkpoint_has_its_own_and_its_score(build):
    trainer = build(TrainerSettings(epochs=2, print_freq=1, max_bad_share=0.01))  # broken val images do not count
    trainer.validation = Scores()
    trainer.sampler.set_position(1)
    assert trainer.run(StopSignal())
    assert sorted(path.name for path in trainer.folder.path.glob("ckpt_epoch_*")) == [
        "ckpt_epoch_0.pth", "ckpt_epoch_1.pth",
    ]  # fmt: skip
    assert trainer.folder.best()["checkpoint"] == "ckpt_epoch_0.pth"
    assert [record["epoch"] for record in records(trainer) if "miou/mean" in record] == [0, 1]


def test_gradients_are_clipped(build):
    trainer = build(TrainerSettings(epochs=1, clip_grad=1e-3))
    trainer.run(StopSignal())
    assert 0 < trainer.task.weight.norm() <= 4 * 0.1 * 1e-3 * 1.001


def test_the_rate_is_that_of_the_step(build):
    trainer = build(TrainerSettings(epochs=2, print_freq=1))
    trainer.rate = LearningRate(0.1, 0.0, 0.05, steps=8, warmup_steps=2)
    trainer.run(StopSignal())
    assert [record["train/learning_rate"] for record in records(trainer)] == [trainer.rate.at(s) for s in range(8)]


def test_a_stop_in_the_middle_saves_where_it_stands(build):
    stop = StopSignal()

    class Impatient(ToyTask):
        def forward(self, batch, step):
            if step == 1:
                stop.ask()
            return super().forward(batch, step)

    trainer = build(TrainerSettings(epochs=2), task=Impatient())
    assert not trainer.run(stop)
    assert trainer.step == 2
    assert [path.name for path in trainer.folder.path.glob("*.pth")] == ["ckpt_step_2.pth"]


def test_several_processes_ask_one_another_for_a_stop_only_so_often(build):
    trainer = build(TrainerSettings(epochs=2, print_freq=3))
    for world, due in ((World(0, 2, ALONE.device), [False, False, True]), (ALONE, [True, True, True])):
        trainer.world = world
        assert [trainer._is_stop_due() for trainer.sampler.images_seen in (2, 4, 6)] == due


def test_checkpoints_in_the_middle_replace_one_another(build):
    stop = StopSignal()
    trainer = build(TrainerSettings(epochs=1, save_steps=1))
    save, names = trainer._save, []
    trainer._save = lambda name: (save(name), names.append(name))
    trainer.run(stop)
    assert names == ["ckpt_step_1.pth", "ckpt_step_2.pth", "ckpt_step_3.pth", "ckpt_epoch_0.pth"]
    assert [path.name for path in trainer.folder.path.glob("*.pth")] == ["ckpt_epoch_0.pth"]


def test_a_loss_that_is_no_number_names_step_and_images(build):
    class Broken(ToyTask):
        def forward(self, batch, step):
            losses = super().forward(batch, step)
            return {name: loss * (float("nan") if step == 2 else 1) for name, loss in losses.items()}

    trainer = build(TrainerSettings(epochs=1), task=Broken())
    with pytest.raises(
        EdgeSamError, match=r"step 2: the loss or its gradient is not finite.*images sa_0_\d+, sa_0_\d+"
    ):
        trainer.run(StopSignal())
    assert torch.isfinite(trainer.task.weight).all()


def test_too_many_broken_images_end_the_run(build):
    trainer = build(TrainerSettings(epochs=1, print_freq=1, max_bad_share=0.2))

    def refusing(samples):
        batch = collate(samples)
        return replace(batch, refusals=[Refusal(f"lost {batch.image_ids[0]}", "truncated")])

    trainer.loader.collate_fn = refusing
    with pytest.raises(
        EdgeSamError, match=r"2 of 8 images are broken, more than DATA.MAX_BAD_SHARE 0.2.*refused.jsonl"
    ):
        trainer.run(StopSignal())
    assert len((trainer.folder.path / "refused.jsonl").read_text().splitlines()) == 2


def test_autocast_is_behind_its_switch(build):
    kinds = []

    class Spy(ToyTask):
        def forward(self, batch, step):
            kinds.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
            return super().forward(batch, step)

    build(TrainerSettings(epochs=1, amp=True), task=Spy()).run(StopSignal())
    assert set(kinds) == {torch.bfloat16}


def test_what_a_worker_refuses_is_one_line(build, dataset, monkeypatch):
    class Hopeless(type(dataset)):
        def __init__(self):
            self.ids = dataset.ids

        def __getitem__(self, key):
            raise EdgeSamError("100 images in a row are unusable")

    trainer = build(TrainerSettings(epochs=1))
    trainer.loader = DataLoader(Hopeless(), batch_size=2, sampler=trainer.sampler, num_workers=1)
    with pytest.raises(EdgeSamError, match=r"^100 images in a row are unusable$"):
        trainer.run(StopSignal())
