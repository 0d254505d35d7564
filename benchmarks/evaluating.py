"""mIoU of a whole model at 1024 px, 64 instances an image, box prompts."""

import tempfile
from pathlib import Path

import torch

from benchmarks.measurement import Measurement, median_seconds
from benchmarks.photographs import MASKS, photographs
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import process_group
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.registry import build_sam

IMAGE_SIZE, IMAGES, PROMPTS_AT_ONCE = 1024, 2, 32


def measure() -> list[Measurement]:
    """Measure the whole evaluation against its networks alone: what lacks to 1 is reading, enlarging, comparing."""
    with tempfile.TemporaryDirectory() as folder, process_group() as world:
        sam = build_sam("rep_vit_m1", IMAGE_SIZE).to(world.device).eval()
        dataset = Sa1bDataset(photographs(Path(folder), IMAGES), "val", IMAGE_SIZE, keep_annotations=True)
        protocols = [EvaluationProtocol("box")]

        def networks() -> None:
            with torch.inference_mode():
                embedding = sam.image_encoder(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, device=world.device))
                boxes = torch.tensor([[100.0, 100.0, 300.0, 200.0]], device=world.device)
                for _ in range(MASKS // PROMPTS_AT_ONCE):
                    encoded = sam.prompt_encoder(None, boxes.expand(PROMPTS_AT_ONCE, 4), None)
                    sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), *encoded)
            if world.device.type == "cuda":
                torch.cuda.synchronize()

        def whole() -> None:
            evaluate_miou(
                sam, dataset, protocols, world=world, image_batch=1, max_prompts=PROMPTS_AT_ONCE, num_workers=1
            )

        alone = 1 / median_seconds(networks, repeats=3)
        speed = len(dataset) / median_seconds(whole, repeats=2)
    what = f"evaluate {MASKS} box prompts an image, {IMAGE_SIZE} px"
    return [Measurement(what, speed, "images/s", "networks alone", alone)]
