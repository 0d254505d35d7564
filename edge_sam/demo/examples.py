"""A dozen masks of pictures that nobody learnt from, and what each model makes of the same prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edge_sam.data.annotations import Annotation, BrokenSample
from edge_sam.data.sources import Source
from edge_sam.demo.annotated_pictures import read_annotated_picture
from edge_sam.evaluation.ground_truth import noise_of
from edge_sam.evaluation.protocols import MIN_CLICK_PIXELS
from edge_sam.inference.predictor import SamPredictor
from edge_sam.prompts.clicks import IGNORED, sample_clicks
from edge_sam.prompts.first_points import mask_center_points

Kind = Literal["box", "centre point", "centre point + 2 clicks"]
KINDS: tuple[Kind, ...] = ("centre point", "box", "centre point + 2 clicks")
CLICKS = 2
SHARE_OF_PICTURE = (0.015, 0.4)
"""An example's mask covers this much of its picture, so that it can be seen on a small one."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """One mask and how it is asked for.

    Attributes:
        image_id: of the picture.
        picture: RGB uint8 (H, W, 3).
        number: of the mask among its picture's.
        kind: of the prompt.
        truth: bool (H, W).
        box: float64 (4,) XYXY, pixels of the picture.
        point: float64 (2,), the mask's centre.
    """

    image_id: str
    picture: NDArray[np.uint8]
    number: int
    kind: Kind
    truth: Mask
    box: NDArray[np.float64]
    point: NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a model made of an example.

    Attributes:
        mask: bool (H, W).
        iou: with the truth.
        points: float64 (P, 2), all points it was given.
        labels: (P,): 1 foreground, 0 background.
    """

    mask: Mask
    iou: float
    points: NDArray[np.float64]
    labels: NDArray[np.int64]


def choose_examples(source: Source, names: Sequence[str], count: int, instances: int) -> list[Example]:
    """Choose masks by the order of names and of masks, never by how well somebody does on them.

    Pictures lie evenly in the order of names; of each the middle one is taken of the measured masks that are of a size
    that can be seen; prompts take turns.

    Args:
        source: the pictures.
        names: of those that were measured.
        count: how many are wanted; there may be fewer.
        instances: the first so many masks of a picture were measured.
    """
    positions = np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int))
    examples: list[Example] = []
    for position in positions:
        try:
            picture, annotations = read_annotated_picture(source, names[position])
        except BrokenSample:
            continue  # the evaluation has left it out, too, and named it
        found = annotations[:instances]
        number = _visible(found)
        truth = found[number].decode()
        examples.append(
            Example(
                image_id=names[position],
                picture=picture,
                number=number,
                kind=KINDS[len(examples) % len(KINDS)],
                truth=truth > 0,
                box=found[number].box_xyxy,
                point=mask_center_points([truth])[0],
            )
        )
    return examples


def _visible(annotations: list[Annotation]) -> int:
    """Return the number of the middle one of the masks of a size that can be seen, or else of the largest."""
    low, high = SHARE_OF_PICTURE
    shares = [annotation.area / (annotation.size[0] * annotation.size[1]) for annotation in annotations]
    seen = [number for number, share in enumerate(shares) if low <= share <= high]
    return seen[len(seen) // 2] if seen else int(np.argmax(shares))


def answer(predictor: SamPredictor, example: Example) -> Answer:
    """Ask a model, whose image is set, as the evaluation does: single-mask token, clicks drawn uniformly in its errors.

    The picture is resized by the predictor, the evaluation's by the data set: the IoU may differ in the third digit.
    """
    if example.kind == "box":
        return _predict(predictor, example, np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    points, labels = example.point[None], np.ones(1, dtype=np.int64)
    found = _predict(predictor, example, points, labels)
    for click in range(1, CLICKS + 1 if example.kind == KINDS[2] else 1):
        noise = torch.tensor([[noise_of(0, example.image_id, example.number, click)]])
        truth, mask = torch.from_numpy(example.truth)[None], torch.from_numpy(found.mask)[None]
        new, label = sample_clicks(truth, mask, None, noise, stride=1, min_pixels=MIN_CLICK_PIXELS)
        if label.item() == IGNORED:
            break  # nothing left to click on
        points, labels = np.concatenate([points, new[0].numpy()]), np.concatenate([labels, label[0].numpy()])
        found = _predict(predictor, example, points, labels)
    return found


def _predict(
    predictor: SamPredictor, example: Example, points: NDArray[np.float64], labels: NDArray[np.int64]
) -> Answer:
    box = example.box if example.kind == "box" else None
    some = len(points) > 0
    masks, _, _ = predictor.predict(
        points if some else None, labels if some else None, box, num_multimask_outputs=1
    )  # fmt: skip
    mask = masks[0].astype(bool)
    iou = np.count_nonzero(mask & example.truth) / np.count_nonzero(mask | example.truth)
    return Answer(mask, iou, points, labels)
