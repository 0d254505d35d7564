"""What ``edgesam predict`` writes: a PNG for each mask, an overlay, a COCO file."""

import glob
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError
from edge_sam.inference.coco_file import MaskedPicture, coco_file, run_lengths
from edge_sam.inference.overlays import draw_masks, draw_prompts, save_overlay


@dataclass(frozen=True)
class Answer:
    """Masks of N objects, K candidates each, and what asked for them.

    Attributes:
        masks: bool (N, K, H, W).
        scores: (N, K).
        points: (P, 2).
        labels: (P,).
        boxes: (N, 4) or none.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]


def write_answer(answer: Answer, picture: Path, pixels: NDArray[np.uint8], folder: Path) -> list[str]:
    """Write ``NAME_mask_I.png``, ``NAME_overlay.jpg`` (the best mask of each object) and ``NAME.json``.

    Annotation I of the COCO file is mask I. Masks with higher numbers, of an earlier answer, are removed.

    Returns:
        A line for each mask and for each other file.

    Raises:
        EdgeSamError: they cannot be written.
    """
    records: list[dict[str, Any]] = []
    lines = []
    best = [masks[scores.argmax()] for masks, scores in zip(answer.masks, answer.scores, strict=True)]
    overlay = draw_masks(pixels, best)
    draw_prompts(overlay, answer.points, answer.labels, answer.boxes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_masks_beyond(answer.scores.size, folder / f"{picture.stem}_mask_")
        for number, place in enumerate(np.ndindex(*answer.scores.shape), start=1):
            mask, score = answer.masks[place], float(answer.scores[place])
            file = folder / f"{picture.stem}_mask_{number}.png"
            Image.fromarray(mask).save(file)
            records.append({"id": number, "segmentation": run_lengths(mask), "score": score, "object": place[0] + 1})
            pixels_told = f"{int(mask.sum())} pixels" if mask.any() else "0 pixels, not in the COCO file"
            lines.append(f"{file}: object {place[0] + 1}, score {score:.3f}, {pixels_told}")
        content = coco_file([MaskedPicture(picture.name, (pixels.shape[0], pixels.shape[1]), records)])
        write_atomically(folder / f"{picture.stem}.json", json.dumps(content))
    except OSError as error:
        raise EdgeSamError(f"{error.filename or folder}: {error.strerror or error}") from error
    save_overlay(overlay, folder / f"{picture.stem}_overlay.jpg")
    return [*lines, str(folder / f"{picture.stem}_overlay.jpg"), str(folder / f"{picture.stem}.json")]


def _remove_masks_beyond(last: int, beginning: Path) -> None:
    """Remove ``BEGINNING<I>.png`` for each I above the last one: they would pass for masks of the new answer."""
    for file in beginning.parent.glob(f"{glob.escape(beginning.name)}*.png"):
        number = file.stem.removeprefix(beginning.name)
        if number.isdecimal() and int(number) > last:
            file.unlink()
