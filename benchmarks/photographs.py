"""Photographs in SA-1B layout, with generated annotations where they have none."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

MASKS = 64
SHARED = Path(os.environ.get("EDGE_SAM_SHARED", Path(__file__).parents[2] / "shared"))


def photographs(folder: Path, count: int = 8) -> Path:
    """Lay out ``count`` photographs of about 1500 x 2250 pixels, 64 ellipses annotated on each, and return ``folder``.

    They are SA-1B's own from ``$EDGE_SAM_SHARED/realdata/sa1b_photos`` if that is there, and smooth noise if not.
    """
    sources = sorted((SHARED / "realdata" / "sa1b_photos").glob("*.jpg"))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "annotations"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"photograph_{number:02d}"
        picture = Image.open(sources[number % len(sources)]).convert("RGB") if sources else _smooth_noise(rng)
        annotations = [_ellipse(rng, picture.height, picture.width) for _ in range(MASKS)]
        image = {"image_id": number, "width": picture.width, "height": picture.height, "file_name": f"{name}.jpg"}
        text = json.dumps({"image": image, "annotations": annotations})
        for split in ("train", "val"):
            picture.save(folder / "images" / split / f"{name}.jpg", quality=92)
            (folder / "annotations" / split / f"{name}.json").write_text(text)
    return folder


def _smooth_noise(rng: np.random.Generator) -> Image.Image:
    coarse = rng.integers(0, 256, (50, 75, 3), np.uint8)
    return Image.fromarray(coarse).resize((2250, 1500), Image.Resampling.BICUBIC)


def _ellipse(rng: np.random.Generator, height: int, width: int) -> dict[str, object]:
    rows, columns = np.ogrid[:height, :width]
    row, column = rng.uniform(0.1, 0.9, 2) * (height, width)
    tall, wide = rng.uniform(0.02, 0.25, 2) * (height, width)
    mask = ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 <= 1
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
        "bbox": mask_utils.toBbox(rle).tolist(),
        "area": int(mask_utils.area(rle)),
        "point_coords": [[float(column), float(row)]],
    }
