"""mIoU at 1024 px, 64 instances an image: the whole, and what is not the networks' work."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.measurement import Measurement, median_seconds
from benchmarks.photographs import MASKS, photographs
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World, process_group
from edge_sam.evaluation.instances import EvaluationDataset, EvaluationImage
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.simulated_user import measure_image
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam

IMAGE_SIZE, IMAGES, PROMPTS_AT_ONCE = 1024, 2, 32
PROTOCOLS = (EvaluationProtocol("box"), EvaluationProtocol("point", "mask-center", 2))


def measure() -> list[Measurement]:
    """Measure reading and scoring against the plain way, and the whole evaluation against its networks alone."""
    with tempfile.TemporaryDirectory() as folder, process_group() as world, torch.inference_mode():
        sam = build_sam("rep_vit_m1", IMAGE_SIZE).to(world.device).eval()
        dataset = Sa1bDataset(photographs(Path(folder), IMAGES), "val", IMAGE_SIZE, keep_annotations=True)
        logits = _near_the_truth(Path(folder))
        measurements, beside = [], []
        for protocol in PROTOCOLS:
            rows = _beside_networks(sam, dataset, protocol, logits.to(world.device))
            measurements += rows
            beside.append(sum(row.value for row in rows) / 1000)
        return [*measurements, *(_whole(sam, dataset, *pair, world) for pair in zip(PROTOCOLS, beside, strict=True))]


def _near_the_truth(folder: Path) -> Tensor:
    """Return logits (n, 1, 256, 256) that a good model could give for the first image's masks."""
    sample = Sa1bDataset(folder, "val", IMAGE_SIZE, 1, with_masks=True)[0]
    assert sample.masks is not None
    noise = torch.randn(sample.masks.shape, generator=torch.Generator().manual_seed(0))
    return (sample.masks / 255 * 20 - 10 + noise)[:, None]


def _beside_networks(sam: Sam, dataset: Sa1bDataset, protocol: EvaluationProtocol, logits: Tensor) -> list[Measurement]:
    images = EvaluationDataset(dataset, [protocol])
    image = images[0]
    assert isinstance(image, EvaluationImage)
    answers: Any = SimpleNamespace(
        image_size=IMAGE_SIZE,
        decoder_for=lambda _: lambda *_: (logits, torch.zeros(len(logits), 1, device=logits.device)),
    )
    embedding = torch.zeros(1, 256, 64, 64, device=logits.device)
    truth = torch.from_numpy(np.stack([one.decode() for one in dataset[0].annotations])).bool().to(logits.device)

    def score() -> None:
        measure_image(answers, embedding, image, protocol, len(logits))

    def score_whole() -> None:
        for one, wanted in zip(torch.split(logits, 8), torch.split(truth, 8), strict=True):
            found = sam.postprocess_masks(one, image.size, image.original_size)[:, 0] > MASK_THRESHOLD
            ((found & wanted).sum(dim=(1, 2)) / (found | wanted).sum(dim=(1, 2))).tolist()

    def read_whole() -> None:
        np.stack([annotation.decode() for annotation in dataset[0].annotations])

    name = f"{MASKS} instances, {'/'.join(protocol.rounds)}"
    baseline = f"whole masks, {'one round, no click' if protocol.refine_iters else 'no point'}"
    milliseconds = [
        1000 * median_seconds(one, repeats=3) for one in (lambda: images[0], read_whole, score, score_whole)
    ]
    return [
        Measurement(f"read and prepare an image, {name}", milliseconds[0], "ms/image", baseline, milliseconds[1]),
        Measurement(f"compare its masks, {name}", milliseconds[2], "ms/image", baseline, milliseconds[3]),
    ]


def _whole(sam: Sam, dataset: Sa1bDataset, protocol: EvaluationProtocol, beside: float, world: World) -> Measurement:
    def networks() -> None:
        embedding = sam.image_encoder(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, device=world.device))
        decode = sam.decoder_for(embedding)
        boxes = torch.tensor([[100.0, 100.0, 300.0, 200.0]], device=world.device)
        for _ in range(len(protocol.rounds) * MASKS // PROMPTS_AT_ONCE):
            decode(None, boxes.expand(PROMPTS_AT_ONCE, 4), None, 1)
        if world.device.type == "cuda":
            torch.cuda.synchronize()

    def whole() -> None:
        evaluate_miou(sam, dataset, [protocol], world=world, image_batch=1, max_prompts=PROMPTS_AT_ONCE, num_workers=1)

    alone = median_seconds(networks, repeats=3)
    speed = len(dataset) / median_seconds(whole, repeats=2)
    what = f"evaluate {MASKS} instances an image, {'/'.join(protocol.rounds)}, {IMAGE_SIZE} px"
    share = f"reading and comparing are {beside / (beside + alone):.0%} of the work"
    return Measurement(what, speed, "images/s", "networks alone", 1 / alone, share)
