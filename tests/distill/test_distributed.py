"""Two processes make the gradient of one that has the joint batch."""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from edge_sam.data.sa1b import collate
from edge_sam.distill.encoder_distillation import EncoderDistillation
from edge_sam.distill.losses import PromptLossWeights
from edge_sam.distill.prompt_distillation import PromptDistillation
from edge_sam.distill.prompt_loop import PromptLoop
from edge_sam.distill.prompt_supervision import PromptSupervision
from tests.distill.small_models import SmallEncoder, small_sam

TASKS = ("encoder", "prompts", "prompts, trainable encoder", "masks")
SIZES = torch.tensor([[192, 256], [256, 160]])


def make_task(name):
    if name == "encoder":
        torch.manual_seed(0)
        return EncoderDistillation(SmallEncoder()).eval()
    teacher, student = small_sam(1), small_sam(2)
    if name == "masks":
        student.prompt_encoder.requires_grad_(True)
        return PromptSupervision(student, PromptLoop(), PromptLossWeights(iou=1.0)).eval()
    trainable = name == "prompts, trainable encoder"
    student.prompt_encoder.requires_grad_(trainable)
    weights = PromptLossWeights(iou=1.0, pixel_wise=0.5)
    loop = PromptLoop()
    return PromptDistillation(student, teacher.prompt_encoder, teacher.mask_decoder, loop, weights).eval()


def gradients(model, batch, steps=4):
    """The gradient summed over steps that start from boxes and from points."""
    for step in range(steps):
        sum(model(batch, step).values()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def one_of_two(rank, store, batches, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for number, name in enumerate(TASKS):
        task = make_task(name)
        model = DistributedDataParallel(task, find_unused_parameters=task.skips_parameters)
        found = gradients(model, batches[rank])
        if rank == 0:
            torch.save({key.removeprefix("module."): value for key, value in found.items()}, out / f"{number}.pth")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def samples(masked_dataset):
    samples = [masked_dataset[0], masked_dataset[1]]
    assert len(samples[0].boxes) == len(samples[1].boxes)
    return samples


@pytest.fixture(scope="module")
def gradients_of_two(samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("gradients")
    parts = [replace(collate([sample]), sizes=SIZES[i : i + 1]) for i, sample in enumerate(samples)]
    multiprocessing.spawn(one_of_two, (out / "store", parts, out), nprocs=2)
    return {name: torch.load(out / f"{number}.pth") for number, name in enumerate(TASKS)}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_two_processes_make_the_gradient_of_the_joint_batch(samples, gradients_of_two, name):
    found = gradients_of_two[name]
    expected = gradients(make_task(name), replace(collate(samples), sizes=SIZES))
    assert set(found) == set(expected)
    for key, gradient in expected.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(found[key], gradient, rtol=1e-4, atol=1e-5 * max(scale, 1e-3), msg=key)
