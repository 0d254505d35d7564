"""All masks of a picture: the definition's way, the plain and the sparing mode, in the same run.

python -m benchmarks.everything --checkpoint FILE --images DIR [--points-per-side 32] [--pictures 1]

Without a checkpoint weights are random and every mask counts as good: the most work there can be.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_utils
from torch import Tensor
from torchvision.ops import nms

from benchmarks.measurement import HEADER, Measurement
from edge_sam.arguments import run_command
from edge_sam.evaluation.average_recall import ranks_of_matches
from edge_sam.export.pictures import draw_pictures, read_pictures
from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
from edge_sam.inference.image_crops import point_grid
from edge_sam.inference.predictor import SamPredictor, stability_score
from edge_sam.modeling.loading import load_sam
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        checkpoint: a whole model; None for random weights.
        images: folder of photographs; None for drawn pictures.
        pictures: how many, of which the times are added up.
        picture_side: their longer side is brought to this, in pixels.
        image_size: of a model of random weights.
        points_per_side: of the grid.
        pred_iou_thresh: bar of the predicted IoU; without a checkpoint there is none.
        stability_score_thresh: bar of the stability score; likewise.
    """

    checkpoint: Path | None = None
    images: Path | None = None
    pictures: int = 1
    picture_side: int = 1024
    image_size: int = 1024
    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95

    def generator(self) -> SamAutomaticMaskGenerator:
        """Return the plain mode."""
        torch.manual_seed(0)
        known = self.checkpoint is not None
        sam = load_sam(self.checkpoint) if self.checkpoint else build_sam("rep_vit_m1", self.image_size).eval()
        return SamAutomaticMaskGenerator(
            sam,
            self.points_per_side,
            pred_iou_thresh=self.pred_iou_thresh if known else 0,
            stability_score_thresh=self.stability_score_thresh if known else 0,
            output_mode="coco_rle",
        )

    def read(self) -> list[NDArray[np.uint8]]:
        """Return the pictures."""
        if self.images is None:
            return draw_pictures(self.pictures, self.picture_side)
        pictures = [Image.fromarray(pixels) for pixels in read_pictures(self.images, self.pictures)]
        ratios = [self.picture_side / max(picture.size) for picture in pictures]
        return [
            np.array(picture.resize((max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))))
            for picture, ratio in zip(pictures, ratios, strict=True)
        ]


def measure(sizes: Sizes | None = None) -> Iterator[Measurement]:
    """Measure both modes against the definition."""
    sizes = sizes or Sizes()
    plain = sizes.generator()
    ways: dict[str, Callable[[NDArray[np.uint8]], list[dict[str, Any]]]] = {
        "definition": lambda pixels: masks_by_definition(plain.model, pixels, plain),
        "plain": plain.generate,
        "sparing": replace(plain, spare_points=True).generate,
    }
    seconds = dict.fromkeys(ways, 0.0)
    found: list[dict[str, list[dict[str, Any]]]] = []
    for pixels in sizes.read():
        of_picture = {}
        for name, way in ways.items():
            start = time.perf_counter()
            of_picture[name] = _ranked(way(pixels))
            seconds[name] += time.perf_counter() - start
        found.append(of_picture)
    count = len(found)
    grid = f"{sizes.points_per_side} x {sizes.points_per_side} points, {sizes.picture_side} px"
    for name, other in (("plain", "definition"), ("sparing", "definition"), ("sparing", "plain")):
        ious = [_ious(picture[name], picture[other]) for picture in found]
        what, value, baseline = f"all masks, {name}, {grid}", seconds[name] / count, seconds[other] / count
        yield Measurement(what, value, "s/picture", other, baseline, _agreement(ious))


def masks_by_definition(
    sam: Sam, pixels: NDArray[np.uint8], settings: SamAutomaticMaskGenerator
) -> list[dict[str, Any]]:
    """Find masks as Segment Anything's appendix B defines it: the image repeated for each prompt, all masks whole."""
    predictor = SamPredictor(sam)
    predictor.set_image(pixels)
    assert settings.points_per_side is not None
    points = torch.from_numpy(point_grid(settings.points_per_side) * pixels.shape[1::-1])
    found: list[dict[str, Any]] = []
    for part in torch.split(points, settings.points_per_batch):
        coordinates = predictor.apply_coords(part)[:, None]
        labels = torch.ones(len(part), 1, dtype=torch.int64)
        logits, scores = _decode_by_definition(predictor, coordinates, labels)
        stability = stability_score(logits, offset=settings.stability_score_offset)
        good = (stability >= settings.stability_score_thresh) & (logits > MASK_THRESHOLD).any(dim=-1).any(dim=-1)
        if settings.pred_iou_thresh > 0:
            good &= scores > settings.pred_iou_thresh
        for mask, iou, stable in zip(logits[good] > MASK_THRESHOLD, scores[good], stability[good], strict=True):
            segmentation = mask_utils.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
            box = mask_utils.toBbox(segmentation)
            found.append(
                {
                    "segmentation": segmentation,
                    "box": [box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1],
                    "predicted_iou": float(iou),
                    "stability_score": float(stable),
                }
            )
    boxes = torch.tensor([mask["box"] for mask in found], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([mask["predicted_iou"] for mask in found])
    return [found[index] for index in nms(boxes, scores, settings.box_nms_thresh).tolist()]


@torch.inference_mode()
def _decode_by_definition(predictor: SamPredictor, coordinates: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (M, H, W) and predicted IoU (M,) of three masks for each prompt, the image repeated for each."""
    sam = predictor.model
    sparse, dense = sam.prompt_encoder((coordinates, labels), None, None)
    embeddings = predictor.get_image_embedding().expand(len(sparse), -1, -1, -1)
    low, scores = sam.mask_decoder(embeddings, sam.prompt_encoder.get_dense_pe(), sparse, dense, 3)
    logits = sam.postprocess_masks(low, predictor.input_size, predictor.original_size)
    return logits.flatten(0, 1), scores.flatten()


def _ranked(masks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(masks, key=lambda mask: -(mask["predicted_iou"] + mask["stability_score"]))


def _ious(masks: list[dict[str, Any]], others: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return the IoU (m, n) of masks and others."""
    segmentations = [[mask["segmentation"] for mask in some] for some in (masks, others)]
    if not masks or not others:
        return np.zeros((len(masks), len(others)))
    return np.asarray(mask_utils.iou(*segmentations, [False] * len(others)), np.float64)


def _agreement(ious: list[NDArray[np.float64]]) -> str:
    """Say how well masks match others: numbers, mean IoU of each of the others' best match, recall as AR counts it."""
    masks, others = (sum(iou.shape[axis] for iou in ious) for axis in (0, 1))
    if not masks or not others:
        return f"{masks} masks, {others} others"
    best = np.concatenate([iou.max(axis=0, initial=0) for iou in ious])
    hits = np.concatenate([(ranks_of_matches(iou) < len(iou)).mean(axis=0) for iou in ious])
    return f"{masks} masks, {others} others: mean IoU of matches {best.mean():.4f}, AR of them {hits.mean():.3f}"


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a whole model; default: random weights")
    parser.add_argument("--images", type=Path, help="folder of photographs; default: drawn pictures")
    defaults = Sizes()
    for name in ("pictures", "picture_side", "image_size", "points_per_side"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("pred_iou_thresh", "stability_score_thresh"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    print(HEADER, flush=True)
    for measurement in measure(Sizes(**vars(parser.parse_args(arguments)))):
        print(measurement.row(), flush=True)


if __name__ == "__main__":
    main()
