"""Automatic masks by the definition of Segment Anything's appendix B: everything at full size, one mask at a time."""

import math

import numpy as np
import torch
from scipy import ndimage

from edge_sam.inference.predictor import SamPredictor


def naive_masks(
    model,
    image,
    points_per_side=32,
    pred_iou_thresh=0.88,
    stability_score_thresh=0.95,
    box_nms_thresh=0.7,
    crop_n_layers=0,
    crop_nms_thresh=0.7,
    crop_overlap_ratio=512 / 1500,
    crop_n_points_downscale_factor=1,
    min_mask_region_area=0,
    stability_score_offset=1.0,
):
    height, width = image.shape[:2]
    found = []
    for layer in range(crop_n_layers + 1):
        side = points_per_side // crop_n_points_downscale_factor**layer
        for crop in crops_of_layer(height, width, layer, crop_overlap_ratio):
            masks = masks_of_crop(
                model, image, crop, side, pred_iou_thresh, stability_score_thresh, stability_score_offset
            )
            found += suppress(masks, [mask["predicted_iou"] for mask in masks], box_nms_thresh)
    if crop_n_layers:
        found = suppress(found, [1 / (mask["crop_box"][2] * mask["crop_box"][3]) for mask in found], crop_nms_thresh)
    if min_mask_region_area:
        clean = [without_small_regions(mask["segmentation"], min_mask_region_area) for mask in found]
        unchanged = [float((new == mask["segmentation"]).all()) for new, mask in zip(clean, found, strict=True)]
        found = [mask | {"segmentation": new, "box": box_of(new)} for new, mask in zip(clean, found, strict=True)]
        found = suppress(found, unchanged, max(box_nms_thresh, crop_nms_thresh))
    return found


def crops_of_layer(height, width, layer, ratio):
    count = 2**layer
    overlap = int(ratio * min(height, width) * 2 / count) if layer else 0
    w = math.ceil((overlap * (count - 1) + width) / count)
    h = math.ceil((overlap * (count - 1) + height) / count)
    for i in range(count):
        for j in range(count):
            left, top = i * (w - overlap), j * (h - overlap)
            yield left, top, min(left + w, width), min(top + h, height)


def masks_of_crop(model, image, crop, side, iou_thresh, stability_thresh, offset):
    left, top, right, bottom = crop
    predictor = SamPredictor(model)
    predictor.set_image(image[top:bottom, left:right])
    centres = [((column + 0.5) / side, (row + 0.5) / side) for row in range(side) for column in range(side)]
    points = torch.tensor(centres, dtype=torch.float64) * torch.tensor([right - left, bottom - top])
    labels = torch.ones(len(points), 1, dtype=torch.int64)
    logits, scores, _ = predictor.predict_torch(predictor.apply_coords(points[:, None]), labels, return_logits=True)
    masks = []
    for number, k in np.ndindex(*scores.shape):
        mask, score = logits[number, k].numpy(), float(scores[number, k])
        stability = (mask > offset).sum() / max((mask > -offset).sum(), 1)
        if (iou_thresh == 0 or score > iou_thresh) and stability >= stability_thresh and (mask > 0).any():
            whole = np.zeros(image.shape[:2], bool)
            whole[top:bottom, left:right] = mask > 0
            entry = {
                "segmentation": whole,
                "predicted_iou": score,
                "stability_score": float(stability),
                "point_coords": [(points[number] + torch.tensor([left, top])).tolist()],
                "crop_box": [left, top, right - left, bottom - top],
                "box": box_of(whole),
            }
            if not cut_off(entry["box"], crop, image.shape):
                masks.append(entry)
    return masks


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return [int(value) for value in (columns.min(), rows.min(), columns.max(), rows.max())]


def cut_off(box, crop, shape):
    picture = (0, 0, shape[1], shape[0])
    return any(abs(box[i] - crop[i]) <= 20 and abs(box[i] - picture[i]) > 20 for i in range(4))


def suppress(masks, preference, threshold):
    kept = []
    for index in sorted(range(len(masks)), key=lambda i: -np.float32(preference[i])):
        if all(not box_iou(masks[index]["box"], other["box"]) > threshold for other in kept):
            kept.append(masks[index])
    return kept


def box_iou(a, b):
    lines = [left == right or top == bottom for left, top, right, bottom in (a, b)]
    if any(lines):  # compared by their pixels, and with each other alone
        if not all(lines):
            return 0.0
        a, b = ((left, top, right + 1, bottom + 1) for left, top, right, bottom in (a, b))
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


def without_small_regions(mask, area):
    mask = mask.copy()
    for holes in (True, False):
        labels, count = ndimage.label(mask != holes, np.ones((3, 3)))
        sizes = [(labels == number).sum() for number in range(1, count + 1)]
        for number, size in enumerate(sizes, start=1):
            largest = not holes and max(sizes) < area and number == 1 + int(np.argmax(sizes))
            if size < area and not largest:
                mask[labels == number] = holes
    return mask
