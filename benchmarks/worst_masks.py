"""Where a model fails: one sheet of the masks with the worst, the middle and the best IoU by box and by centre point.

python -m benchmarks.worst_masks --data DIR --checkpoint FILE --output SHEET.jpg
"""

import argparse
import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edge_sam.arguments import run_command
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.sources import Source, open_source
from edge_sam.data.transforms import decode_image
from edge_sam.demo.examples import Answer, Example, Kind, answer
from edge_sam.demo.pictures import with_answer, with_prompt, with_truth
from edge_sam.distributed import World, process_group
from edge_sam.evaluation.miou import MiouResult, evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.inference.predictor import SamPredictor
from edge_sam.modeling.loading import load_sam
from edge_sam.modeling.sam import Sam
from edge_sam.pages.pictures import TRUTH
from edge_sam.prompts.first_points import mask_center_points

SMALLEST = 0.005
"""Share of its picture that a mask covers at least, so that it can be seen."""
RANKS = {"worst": (0.0, 0.01, 0.02, 0.03), "middle": (0.45, 0.5, 0.55), "best": (0.9, 0.95)}
"""Quantiles of the IoU that are shown."""
PROTOCOLS: dict[Kind, EvaluationProtocol] = {
    "box": EvaluationProtocol("box"),
    "centre point": EvaluationProtocol("point", "mask-center"),
}


def _examples(result: MiouResult, dataset: Sa1bDataset, source: Source, kind: Kind) -> list[tuple[str, Example]]:
    """Return the masks at the wanted quantiles, with the name of their rank."""
    shares = []
    samples = {dataset.ids[index]: dataset[index] for index in range(len(dataset))}
    for image_id, number in zip(result.image_ids, result.numbers, strict=True):
        annotation = samples[image_id].annotations[number]
        shares.append(annotation.area / np.prod(annotation.size))
    seen = np.flatnonzero(np.array(shares) >= SMALLEST)
    order = seen[np.argsort(result.iou[seen, 0], kind="stable")]
    chosen = [(rank, order[int(q * (len(order) - 1))]) for rank, quantiles in RANKS.items() for q in quantiles]
    examples = []
    for rank, row in chosen:
        sample, number = samples[result.image_ids[row]], int(result.numbers[row])
        annotation = sample.annotations[number]
        truth = annotation.decode()
        picture = np.array(decode_image(source.read_image_bytes(sample.image_id)))
        point = mask_center_points([truth])[0]
        example = Example(sample.image_id, picture, number, kind, truth > 0, annotation.box_xyxy, point)
        examples.append((rank, example))
    return examples


def _row(sam: Sam, example: Example, rank: str) -> Image.Image:
    predictor = SamPredictor(sam)
    predictor.set_image(example.picture)
    found: Answer = answer(predictor, example)
    panels = [_opened(data) for data in (with_prompt(example), with_truth(example), with_answer(example, found, TRUTH))]
    width, height = sum(panel.width for panel in panels), max(panel.height for panel in panels)
    row = Image.new("RGB", (width, height + 18), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 18))
        left += panel.width
    ImageDraw.Draw(row).text((4, 3), f"{example.kind}, {rank}: IoU {found.iou:.2f}  ({example.image_id})", fill="black")
    return row


def _opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))


def draw_sheet(sam: Sam, dataset: Sa1bDataset, source: Source, world: World) -> Image.Image:
    """Measure, choose and draw; a column a kind of prompt."""
    results = evaluate_miou(sam, dataset, list(PROTOCOLS.values()), world=world, num_workers=0)
    columns = [
        [_row(sam, example, rank) for rank, example in _examples(result, dataset, source, kind)]
        for kind, result in zip(PROTOCOLS, results, strict=True)
    ]
    heights = [max(rows, key=lambda row: row.height).height for rows in zip(*columns, strict=True)]
    sheet = Image.new("RGB", (sum(max(row.width for row in rows) + 12 for rows in columns), sum(heights)), "white")
    left = 0
    for rows in columns:
        top = 0
        for row, height in zip(rows, heights, strict=True):
            sheet.paste(row, (left, top))
            top += height
        left += max(row.width for row in rows) + 12
    return sheet


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, draw the sheet and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in SA-1B layout; its val split is measured")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a file that tells its network")
    parser.add_argument("--output", type=Path, required=True, help="the sheet, .jpg or .png")
    chosen = parser.parse_args(arguments)
    sam = load_sam(chosen.checkpoint)
    dataset = Sa1bDataset(chosen.data, "val", sam.image_size, keep_annotations=True)
    with process_group(only_cpu=True) as world:
        draw_sheet(sam, dataset, open_source(chosen.data, "val"), world).save(chosen.output, quality=80)
    print(f"written to {chosen.output}")


if __name__ == "__main__":
    main()
