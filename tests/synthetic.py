"""A few small pictures with masks in SA-1B layout, for tests that need no real photographs."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils


def write_sa1b(root: Path, split: str, count: int, seed: int = 0, size: tuple[int, int] = (192, 256)) -> Path:
    """Write ``count`` pictures of coloured ellipses on noise, each ellipse annotated, and return ``root``."""
    rng = np.random.default_rng([seed, len(split)])
    for folder in ("images", "annotations"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"sa_{seed}_{number:03d}"
        picture, masks = _draw(rng, size)
        Image.fromarray(picture).save(root / "images" / split / f"{name}.jpg", quality=95)
        annotations = [_annotation(index, mask) for index, mask in enumerate(masks)]
        image = {"image_id": number, "width": size[1], "height": size[0], "file_name": f"{name}.jpg"}
        (root / "annotations" / split / f"{name}.json").write_text(
            json.dumps({"image": image, "annotations": annotations})
        )
    return root


def write_tar(path: Path, root: Path, split: str) -> None:
    """Pack a split as SA-1B's tars are: all files side by side."""
    with tarfile.open(path, "w") as tar:
        for kind in ("images", "annotations"):
            for file in sorted((root / kind / split).iterdir()):
                member = tarfile.TarInfo(f"./{file.name}")
                member.size = file.stat().st_size
                tar.addfile(member, io.BytesIO(file.read_bytes()))


def _draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    picture = rng.integers(90, 160, (height, width, 3))
    masks: list[np.ndarray] = []
    for _ in range(int(rng.integers(3, 7))):
        centre = rng.uniform(0.2, 0.8, 2) * size
        radii = rng.uniform(0.08, 0.25, 2) * size
        mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
        picture[mask] = rng.integers(0, 256, 3) + rng.integers(-10, 11, (int(mask.sum()), 3))
        masks = [earlier & ~mask for earlier in masks] + [mask]
    return picture.clip(0, 255).astype(np.uint8), [mask for mask in masks if mask.sum() >= 50]


def _annotation(index: int, mask: np.ndarray) -> dict:
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    rows, columns = np.nonzero(mask)
    middle = len(rows) // 2
    return {
        "id": index,
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode()},
        "bbox": [float(value) for value in mask_utils.toBbox(rle)],
        "area": int(mask.sum()),
        "predicted_iou": 1.0,
        "stability_score": 1.0,
        "crop_box": [0.0, 0.0, float(mask.shape[1]), float(mask.shape[0])],
        "point_coords": [[float(columns[middle]), float(rows[middle])]],
    }
