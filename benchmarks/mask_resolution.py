"""What masks of a decoder's size can hold at best: a bound on the mIoU of any model with that input size.

python -m benchmarks.mask_resolution --data DIR --image-size 256 512 1024
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_sam.arguments import run_command
from edge_sam.data.sa1b import Sa1bDataset

CORRECTIONS = 8
"""Steps against the error after which nothing is gained."""


def attainable_iou(truth: Tensor, image_size: int) -> tuple[float, float]:
    """Return the IoU of a mask with what low resolution keeps of it.

    Args:
        truth: float (H, W) of 0 and 1.
        image_size: longest side of the network's input in pixels; its masks have a quarter of that.

    Returns:
        Of the share of each low-resolution pixel that is covered, enlarged and cut at one half; and of the best values
        that were found by moving these against the error.
    """
    size = truth.shape[-2:]
    ratio = image_size / 4 / max(size)
    low_size = [max(1, round(side * ratio)) for side in size]
    wanted = truth[None, None]
    covered = F.interpolate(wanted, low_size, mode="area")
    values = covered
    ious = []
    for _ in range(CORRECTIONS):
        found = F.interpolate(values, size, mode="bilinear", align_corners=False) > 0.5
        ious.append(float((found & (wanted > 0)).sum() / (found | (wanted > 0)).sum()))
        values = values + covered - F.interpolate(found.float(), low_size, mode="area")
    return ious[0], max(ious)


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in SA-1B layout; its val split is read")
    parser.add_argument("--image-size", type=int, nargs="+", default=[256, 512, 1024], help="default %(default)s")
    parser.add_argument("--images", type=int, default=-1, help="the first so many; default all")
    parser.add_argument("--instances", type=int, default=16, help="the first masks of each; default %(default)s")
    chosen = parser.parse_args(arguments)
    print("| input | masks | mIoU of the covered shares | of the best values found |\n| --- | --- | --- | --- |")
    for image_size in chosen.image_size:
        dataset = Sa1bDataset(chosen.data, "val", image_size, chosen.images, keep_annotations=True)
        ious = [
            attainable_iou(torch.from_numpy(annotation.decode()).float(), image_size)
            for index in range(len(dataset))
            for annotation in dataset[index].annotations[: chosen.instances]
        ]
        shares, best = torch.tensor(ious, dtype=torch.float64).mean(dim=0).tolist()
        print(f"| {image_size} px | {len(ious)} | {shares:.3f} | {best:.3f} |", flush=True)


if __name__ == "__main__":
    main()
