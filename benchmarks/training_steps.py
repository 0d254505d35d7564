"""RepViT-M1 forward and backward, and one optimizer step of each phase with its peak memory; each in a process."""

import copy
import itertools
import multiprocessing
import resource
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.measurement import Measurement, median_seconds
from edge_sam.data.sa1b import Batch
from edge_sam.distill.encoder_distillation import EncoderDistillation
from edge_sam.distill.losses import PromptLossWeights
from edge_sam.distill.optimizer import build_optimizer
from edge_sam.distill.prompt_distillation import PromptDistillation
from edge_sam.distill.prompt_loop import PromptLoop
from edge_sam.modeling.channel_scale import ChannelScale
from edge_sam.modeling.registry import build_image_encoder, build_sam
from edge_sam.modeling.sam import normalize_images

Phase = Literal["phase 1", "phase 2"]
SIZES: tuple[tuple[Phase, int, int], ...] = (
    ("phase 1", 256, 8), ("phase 2", 256, 4), ("phase 1", 1024, 2), ("phase 2", 1024, 2),
)  # fmt: skip
PROMPTS = 16


def measure() -> list[Measurement]:
    """Measure the student's encoder against timm's layers, and both phases against the student's encoder."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found = [pool.apply(_measure_encoder)]
    for size in SIZES:
        with context.Pool(1) as pool:
            found.append(pool.apply(_measure_step, size))
    return found


def _measure_encoder(image_size: int = 256, images: int = 4) -> Measurement:
    """Measure what it saves to compute the 1x1 depthwise convolutions as products; on a CPU, with one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = build_image_encoder("rep_vit_m1", image_size).to(memory_format=torch.channels_last)
    pixels = torch.randn(images, 3, image_size, image_size).to(memory_format=torch.channels_last)

    def step(module: nn.Module) -> None:
        _backward(module(pixels).square().mean())
        module.zero_grad(set_to_none=True)

    seconds = median_seconds(partial(step, encoder), repeats=4)
    baseline = median_seconds(partial(step, _with_convolutions(encoder)), repeats=4)
    what = f"student encoder, forward and backward, {image_size} px, {images} images"
    return Measurement(what, seconds, "s", "1x1 depthwise as convolutions", baseline, "one thread")


def _with_convolutions(encoder: nn.Module) -> nn.Module:
    """Return a copy whose 1x1 depthwise convolutions are computed as convolutions, as timm does."""
    plain = copy.deepcopy(encoder)
    for parent in list(plain.modules()):
        for name, scale in list(parent.named_children()):
            if isinstance(scale, ChannelScale):
                convolution = nn.Conv2d(scale.in_channels, scale.in_channels, 1, groups=scale.groups, bias=False)
                convolution.weight = scale.weight
                setattr(parent, name, convolution)
    return plain


def _measure_step(phase: Phase, image_size: int, images: int) -> Measurement:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task, encoder = _build_task(phase, image_size)
    task.to(device).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(task, 0.01, (0.9, 0.999), 1e-8)
    batch = _batch(image_size, images).to(device)

    steps = itertools.count()  # their first prompts alternate between boxes and points

    def step() -> None:
        _backward(torch.stack(list(task(batch, next(steps)).values())).sum())
        nn.utils.clip_grad_norm_(task.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _wait(device)

    def bare() -> None:
        _backward(encoder(normalize_images(batch.images, batch.sizes)).square().mean())
        encoder.zero_grad(set_to_none=True)
        _wait(device)

    baseline = median_seconds(bare, repeats=4)
    seconds = median_seconds(step, repeats=8 if image_size == 256 else 4)
    what = f"{phase}, {image_size} px, {images} images" + (f" x {PROMPTS} prompts" if phase == "phase 2" else "")
    note = f"peak {_peak_gigabytes(device):.1f} GB"
    return Measurement(what, seconds, "s/step", "student encoder alone", baseline, note)


def _build_task(phase: Phase, image_size: int) -> tuple[nn.Module, nn.Module]:
    """Return the task and the student's encoder in it."""
    student = build_sam("rep_vit_m1", image_size)
    if phase == "phase 1":
        return EncoderDistillation(student.image_encoder), student.image_encoder
    student.prompt_encoder.requires_grad_(False)
    teacher = build_sam("rep_vit_m1", image_size)
    loop, weights = PromptLoop(), PromptLossWeights()
    task = PromptDistillation(student, teacher.prompt_encoder, teacher.mask_decoder, loop, weights)
    return task, student.image_encoder


def _batch(image_size: int, images: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    size = (image_size * 2 // 3, image_size)
    corners = torch.rand(images * PROMPTS, 2, 2, generator=generator).sort(dim=1).values
    boxes = (corners * torch.tensor([size[1], size[0]])).flatten(1)
    return Batch(
        image_ids=[str(number) for number in range(images)],
        images=torch.randint(0, 256, (images, 3, image_size, image_size), dtype=torch.uint8, generator=generator),
        sizes=torch.tensor([size] * images),
        boxes=boxes,
        points=boxes.view(-1, 2, 2).mean(dim=1, keepdim=True),
        noise=torch.rand(images * PROMPTS, 1, generator=generator),
        image_index=torch.arange(images).repeat_interleave(PROMPTS),
        refusals=[],
        teacher_embedding=torch.randn(images, 256, image_size // 16, image_size // 16, generator=generator).half(),
    )


def _backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak_gigabytes(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
