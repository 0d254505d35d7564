"""One image from the disk to the tensors of a sample, at 1024 px, on one core."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measurement import Measurement, median_seconds
from benchmarks.photographs import photographs
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.modeling.sam import PIXEL_MEAN, PIXEL_STD

IMAGE_SIZE = 1024


def measure() -> list[Measurement]:
    """Measure the data set against the float path: resize in float, antialiased, normalise and pad in the worker."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = photographs(Path(folder))
        dataset = Sa1bDataset(root, "train", IMAGE_SIZE, max_annotations=16, clicks=1)
        masked = Sa1bDataset(root, "train", IMAGE_SIZE, max_annotations=16, clicks=1, with_masks=True)
        paths = sorted((root / "images" / "train").iterdir())
        ours = median_seconds(lambda: [dataset[index] for index in range(len(dataset))], repeats=5)
        with_masks = median_seconds(lambda: [masked[index] for index in range(len(masked))], repeats=3)
        floats = median_seconds(lambda: [_float_path(path) for path in paths], repeats=3)
        decoding = median_seconds(lambda: [Image.open(path).load() for path in paths], repeats=5)
    scale = 1000 / len(dataset)
    return [
        Measurement("load an image and its prompts, 1024 px", ours * scale, "ms/image", "float path", floats * scale),
        Measurement("  of which JPEG decoding", decoding * scale, "ms/image", "the whole", ours * scale),
        Measurement("  and with 16 masks of it", with_masks * scale, "ms/image", "without masks", ours * scale),
    ]


def _float_path(path: Path) -> Tensor:
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None].float()
    scale = IMAGE_SIZE / max(pixels.shape[-2:])
    size = [int(side * scale + 0.5) for side in pixels.shape[-2:]]
    resized = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
    return F.pad((resized - mean) / std, (0, IMAGE_SIZE - size[1], 0, IMAGE_SIZE - size[0]))
