"""All masks of pictures, as one COCO file and an overlay of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sam.atomic_writing import write_atomically
from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.inference.automatic_masks import MORE_MASKS, SamAutomaticMaskGenerator
from edge_sam.inference.coco_file import MaskedPicture, coco_file, run_lengths
from edge_sam.inference.overlays import draw_masks, save_overlay
from edge_sam.inputs.pictures import read_pixels
from edge_sam.progress import show_progress


@dataclass(frozen=True)
class EverythingReport:
    """What :func:`find_everything` did.

    Attributes:
        pictures: number of pictures whose masks were looked for.
        masks: number of masks in them.
        left_out: a reason for each picture that could not be read, naming it.
        file: the COCO file.
    """

    pictures: int
    masks: int
    left_out: Sequence[str]
    file: Path

    def describe(self) -> list[str]:
        """Say it, with a line for each picture that was left out."""
        lines = [f"left out: {reason}" for reason in self.left_out]
        lines.append(f"{self.pictures} pictures with {self.masks} masks: {self.file}")
        return lines if self.masks else [*lines, MORE_MASKS]


def find_everything(generator: SamAutomaticMaskGenerator, pictures: Sequence[Path], folder: Path) -> EverythingReport:
    """Write ``annotations.json`` and ``overlays/NAME.jpg`` (NAME with its ending).

    Args:
        generator: with masks as ``binary_mask``.
        pictures: files of different names.
        folder: made when it is not there.

    Raises:
        EdgeSamError: none of the pictures can be read, the network answers with NaN or infinity in one, or a file
            cannot be written.
    """
    found, left_out = [], []
    try:
        (folder / "overlays").mkdir(parents=True, exist_ok=True)
        with show_progress("everything", len(pictures)) as progress:
            for picture in pictures:
                try:
                    pixels = read_pixels(picture)
                except EdgeSamError as error:
                    left_out.append(str(error))
                else:
                    found.append(_find(generator, picture, pixels, folder / "overlays" / f"{picture.name}.jpg"))
                progress(1)
        if not found:
            raise EdgeSamError(left_out[0] if left_out else "no picture was given")
        file = folder / "annotations.json"
        write_atomically(file, json.dumps(coco_file(found)))
    except OSError as error:
        raise EdgeSamError(f"{error.filename or folder}: {error.strerror or error}") from error
    return EverythingReport(len(found), sum(len(picture.masks) for picture in found), left_out, file)


def _find(
    generator: SamAutomaticMaskGenerator, picture: Path, pixels: NDArray[np.uint8], overlay: Path
) -> MaskedPicture:
    try:
        records = generator.generate(pixels)
    except NotFiniteError as error:
        raise EdgeSamError(f"{picture}: {error}") from error
    save_overlay(draw_masks(pixels, [record["segmentation"] for record in records]), overlay)
    masks = [
        {
            "segmentation": run_lengths(record["segmentation"]),
            "score": record["predicted_iou"],
            "stability_score": record["stability_score"],
            "point_coords": record["point_coords"],
        }
        for record in records
    ]
    return MaskedPicture(picture.name, (pixels.shape[0], pixels.shape[1]), masks)
