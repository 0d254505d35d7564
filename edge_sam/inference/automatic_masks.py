"""All masks of a picture: a grid of points asks, the good answers stay; the interface of segment-anything."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edge_sam.data.run_length_encoding import compress_runs, covers, decode_runs, encode_crop
from edge_sam.errors import EdgeSamError
from edge_sam.inference.found_masks import FoundMask, bounding_box, without_duplicates
from edge_sam.inference.image_crops import image_crops, layer_point_grids
from edge_sam.inference.point_answers import PointAnswers, Quality
from edge_sam.inference.point_sparing import unspared_points
from edge_sam.inference.predictor import SamPredictor
from edge_sam.inference.small_regions import remove_small_regions
from edge_sam.inference.window import Window
from edge_sam.inputs.pictures import rgb_pixels
from edge_sam.modeling.sam import Sam

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]

MORE_MASKS = "a weak model needs lower bars: --pred-iou-thresh, --stability-score-thresh"
"""What to do where no mask was found, for the user of a command."""

_MOST_CROP_LAYERS = 6
"""One more, and the crops of a square picture of 3000 pixels would be so small that their edges cut all masks off."""


@dataclass(eq=False)
class SamAutomaticMaskGenerator:
    """Finds the masks of a whole picture (Segment Anything, appendix B).

    The answers are those of segment-anything's generator, but for masks without a pixel, and lines of pixels that
    repeat a better one, which are left out here.

    Attributes:
        model: the model, on the device to work on; it is put into eval mode.
        points_per_side: of the grid of points; None with ``point_grids``.
        points_per_batch: points decoded at once: memory against speed.
        pred_iou_thresh: masks stay whose predicted IoU is above; 0 keeps all.
        stability_score_thresh: masks stay whose stability score is at least this; 0 keeps all.
        stability_score_offset: distance of the two thresholds whose masks that score compares.
        box_nms_thresh: masks of one crop whose boxes have a higher IoU are one mask.
        crop_n_layers: look at crops of the picture, too: 2^i x 2^i of them in layer i; at most 6 layers.
        crop_nms_thresh: as ``box_nms_thresh``, between crops; the smaller crop's mask stays.
        crop_overlap_ratio: share of the picture's shorter side by which crops of the first layer overlap.
        crop_n_points_downscale_factor: layer i has ``points_per_side`` / factor^i points a side.
        point_grids: points (n, 2) in [0, 1], (x, y), of the picture and of each layer, instead of regular ones.
        min_mask_region_area: islands and holes of fewer pixels are removed from masks; 0 for none.
        output_mode: ``binary_mask``: bool (H, W); ``uncompressed_rle``: COCO's run lengths as a list; ``coco_rle``: as
            text.
        spare_points: faster, and may miss a little: do not ask in the midst of what was found, and do not make masks
            that repeat a found one.

    Raises:
        EdgeSamError: a setting out of range; both or none of ``points_per_side`` and ``point_grids``.
    """

    model: Sam
    points_per_side: int | None = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: list[NDArray[np.float64]] | None = None
    min_mask_region_area: int = 0
    output_mode: OutputMode = "binary_mask"
    spare_points: bool = False

    def __post_init__(self) -> None:
        self._check()
        if self.points_per_side is None:
            assert self.point_grids is not None
            self._grids = [np.asarray(grid, dtype=np.float64) for grid in self.point_grids]
        else:
            self._grids = layer_point_grids(
                self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor
            )
        self.predictor = SamPredictor(self.model)

    @torch.inference_mode()
    def generate(self, image: NDArray[np.uint8] | Image.Image) -> list[dict[str, Any]]:
        """Find the masks of an image.

        Args:
            image: a PIL image, or RGB uint8 (H, W, 3).

        Returns:
            A record for each mask: ``segmentation`` (see ``output_mode``), ``area`` in pixels, ``bbox`` XYWH (from the
            first to the last pixel, so that W and H are one less than their number, as in SA-1B), ``predicted_iou``,
            ``stability_score``, ``point_coords`` [[x, y]], ``crop_box`` XYWH.

        Raises:
            EdgeSamError: an array of another shape or type; a network that answers with NaN or infinity.
        """
        pixels = rgb_pixels(image)
        height, width = pixels.shape[:2]
        crops = image_crops((height, width), self.crop_n_layers, self.crop_overlap_ratio)
        masks = [mask for crop, layer in crops for mask in self._search(pixels, crop, self._grids[layer])]
        if len(crops) > 1:
            preference = [1 / (mask.crop.shape[0] * mask.crop.shape[1]) for mask in masks]
            masks = without_duplicates(masks, preference, self.crop_nms_thresh)
        if self.min_mask_region_area > 0:
            masks = self._clean(masks, (height, width))
        return [self._record(mask, (height, width)) for mask in masks]

    def _search(self, pixels: NDArray[np.uint8], crop: Window, grid: NDArray[np.float64]) -> list[FoundMask]:
        """Return the masks of one crop, the best first."""
        height, width = pixels.shape[:2]
        quality = Quality(self.pred_iou_thresh, self.stability_score_thresh, self.stability_score_offset)
        self.predictor.set_image(pixels[crop.top : crop.bottom, crop.left : crop.right])
        answers = PointAnswers(self.predictor, crop, (height, width), quality, self.spare_points)
        points = grid * crop.shape[::-1]
        masks: list[FoundMask] = []
        for batch in self._batches(points, grid, crop, height, masks):
            masks += answers.good(points[batch])
        self.predictor.reset_image()
        return self._best(masks)

    def _best(self, masks: Sequence[FoundMask]) -> list[FoundMask]:
        return without_duplicates(masks, [mask.predicted_iou for mask in masks], self.box_nms_thresh)

    def _batches(
        self,
        points: NDArray[np.float64],
        grid: NDArray[np.float64],
        crop: Window,
        height: int,
        found: Sequence[FoundMask],
    ) -> Iterator[NDArray[np.int64]]:
        """Deal out which points (n, 2) of a crop to ask, as far as ``found``, which grows, is known."""
        if not self.spare_points:
            every = np.arange(len(points))
            yield from (every[at : at + self.points_per_batch] for at in range(0, len(every), self.points_per_batch))
            return
        columns, rows = (points + np.array([crop.left, crop.top])).astype(np.int64).T

        def masks_at() -> NDArray[np.bool_]:
            # Only masks that would be returned count: duplicates differ a little, where they meet others.
            covered = [covers(mask.runs, rows, columns, height) for mask in self._best(found)]
            return np.array(covered, dtype=bool).reshape(-1, len(points)).T

        yield from unspared_points(grid, masks_at, self.points_per_batch)

    def _clean(self, masks: Sequence[FoundMask], size: tuple[int, int]) -> list[FoundMask]:
        """Remove small regions; of masks that have become alike, one that was clean before stays."""
        cleaned, was_clean = [], []
        for mask in masks:
            bits, changed = remove_small_regions(decode_runs(mask.runs, size), self.min_mask_region_area)
            if changed:
                mask = replace(mask, runs=encode_crop(bits, 0, 0, size), box=bounding_box(bits, 0, 0))
            cleaned.append(mask)
            was_clean.append(float(not changed))
        return without_duplicates(cleaned, was_clean, max(self.box_nms_thresh, self.crop_nms_thresh))

    def _record(self, mask: FoundMask, size: tuple[int, int]) -> dict[str, Any]:
        left, top, right, bottom = mask.box
        crop_height, crop_width = mask.crop.shape
        segmentation: Any = decode_runs(mask.runs, size)
        if self.output_mode == "uncompressed_rle":
            segmentation = {"size": list(size), "counts": mask.runs.tolist()}
        elif self.output_mode == "coco_rle":
            segmentation = compress_runs(mask.runs, size)
        return {
            "segmentation": segmentation,
            "area": mask.area,
            "bbox": [left, top, right - left, bottom - top],
            "predicted_iou": mask.predicted_iou,
            "point_coords": [list(mask.point)],
            "stability_score": mask.stability_score,
            "crop_box": [mask.crop.left, mask.crop.top, crop_width, crop_height],
        }

    def _check(self) -> None:
        smallest = {
            "points_per_batch": 1,
            "stability_score_offset": 0,
            "crop_n_layers": 0,
            "crop_overlap_ratio": 0,
            "crop_n_points_downscale_factor": 1,
            "min_mask_region_area": 0,
        }
        for name, bound in smallest.items():
            if not getattr(self, name) >= bound:
                raise EdgeSamError(f"{name} is {getattr(self, name)}; it should be at least {bound}")
        if self.crop_n_layers > _MOST_CROP_LAYERS:
            raise EdgeSamError(
                f"crop_n_layers is {self.crop_n_layers}; it should be at most {_MOST_CROP_LAYERS}: "
                "layer i has 4^i crops, each of which is a picture to embed"
            )
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
            if math.isnan(getattr(self, name)):  # which nothing is above or below
                raise EdgeSamError(f"{name} is not a number")
        if self.output_mode not in get_args(OutputMode):
            modes = ", ".join(get_args(OutputMode))
            raise EdgeSamError(f"output_mode is {self.output_mode!r}; it should be one of {modes}")
        if (self.points_per_side is None) == (self.point_grids is None):
            raise EdgeSamError("give points_per_side, or None and point_grids: one of the two says where to ask")
        for grid in self.point_grids or []:
            if grid.ndim != 2 or grid.shape[1] != 2 or not ((grid >= 0) & (grid <= 1)).all():
                raise EdgeSamError("a grid of point_grids is an array (n, 2) of x, y in [0, 1]")
        layers = self.crop_n_layers + 1
        if self.point_grids is not None and len(self.point_grids) != layers:
            raise EdgeSamError(f"point_grids has {len(self.point_grids)} grids; picture and crops take {layers}")
        factor = self.crop_n_points_downscale_factor**self.crop_n_layers
        if self.points_per_side is not None and self.points_per_side < factor:
            raise EdgeSamError(f"points_per_side is {self.points_per_side}: it leaves the last layer without a point")
