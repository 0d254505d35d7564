"""The same arithmetic the plain way: masks whole, everything on the full canvas. Slow, and easy to believe."""

import numpy as np
import torch
from scipy.ndimage import binary_erosion
from torch.nn import functional as F

from edge_sam.evaluation.ground_truth import noise_of
from edge_sam.modeling.sam import Sam
from edge_sam.prompts.batch import Prompts
from edge_sam.prompts.clicks import IGNORED, sample_clicks


def enlarge(mask, size):
    """To the input's size, nearest pixel."""
    return F.interpolate(torch.from_numpy(mask)[None, None], size, mode="nearest")[0, 0].numpy()


def resample_as_published(mask, size):
    """To the input's size and back, everything above 0."""
    back = F.interpolate(torch.from_numpy(enlarge(mask, size))[None, None].float(), mask.shape, mode="bilinear")
    return (back[0, 0] > 0).to(torch.uint8).numpy()


def mask_iou(masks, truth):
    """IoU of bool (n, K, H, W) with (n, H, W)."""
    truth = truth[:, None]
    return (masks & truth).sum(dim=(2, 3)).double() / (masks | truth).sum(dim=(2, 3))


def whole(mask, original_size):
    """A cropped mask on the full canvas, uint8."""
    canvas = np.zeros(original_size, dtype=np.uint8)
    if mask.area:
        canvas[mask.window.top : mask.window.bottom, mask.window.left : mask.window.right] = mask.crop()
    return canvas


class Canvas:
    """Has the interface of :class:`Sam` that ``postprocess_masks`` uses."""

    def __init__(self, image_size):
        self.image_size = image_size


def enlarge_logits(low_res, image_size, size, original_size):
    return Sam.postprocess_masks(Canvas(image_size), low_res, size, original_size)


def boundary_iou(mask, truth):
    """IoU of the parts of two masks bool (H, W) that eroding by 3 x 3 squares takes away."""
    width = max(1, round(0.02 * (truth.shape[0] ** 2 + truth.shape[1] ** 2) ** 0.5))
    eroded = [binary_erosion(np.pad(one, 1), np.ones((3, 3)), width)[1:-1, 1:-1] for one in (mask, truth)]
    first, second = mask & ~eroded[0], truth & ~eroded[1]
    return (first & second).sum() / max((first | second).sum(), 1)


def measure(sam, embedding, image, protocol, select, boundary=False):
    """IoU (n, rounds) of an image whose instances all have ground truth; ``select`` chooses among (n, K) masks.

    With ``boundary`` the boundary IoU of the mask with the best IoU.
    """
    truth = torch.from_numpy(
        np.stack([whole(mask, image.original_size) for mask in image.truths[protocol.ground_truth].masks])
    ).bool()
    if protocol.prompt_type == "box":
        prompts = Prompts.from_boxes(torch.from_numpy(image.boxes))
    else:
        first = image.first_points(protocol.ground_truth, protocol.point_from)
        prompts = Prompts.from_points(torch.from_numpy(first)[:, None])
    scale = torch.tensor([image.size[i] / image.original_size[i] for i in (1, 0)])
    finished = torch.zeros(len(truth), dtype=torch.bool)
    rounds = []
    for number in range(len(protocol.rounds)):
        encoded = sam.prompt_encoder(prompts.points_and_labels, prompts.boxes, None)
        pe = sam.prompt_encoder.get_dense_pe()
        low_res, scores = sam.mask_decoder(embedding, pe, *encoded, protocol.num_multimask_outputs)
        low_res = select(low_res, scores)
        masks = enlarge_logits(low_res, sam.image_size, image.size, image.original_size) > 0
        iou, best = mask_iou(masks, truth).max(dim=1)
        if boundary:
            chosen = masks[torch.arange(len(truth)), best].numpy()
            pairs = zip(chosen, truth.numpy(), strict=True)
            iou = torch.tensor([boundary_iou(mask, wanted) for mask, wanted in pairs], dtype=torch.float64)
        rounds.append(torch.where(finished, rounds[-1], iou) if rounds else iou)
        if number < protocol.refine_iters:
            names = [noise_of(protocol.seed, image.image_id, n, number + 1) for n in range(len(truth))]
            noise = torch.tensor(names, dtype=torch.float32)[:, None]
            points, labels = sample_clicks(truth, masks[torch.arange(len(truth)), best], None, noise, 1, 10)
            prompts = prompts.add_points(points * scale, labels)
            finished |= (labels == IGNORED).any(dim=1)
    return torch.stack(rounds, dim=1).numpy()
