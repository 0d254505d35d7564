"""``edgesam predict``: the masks of what points and boxes ask for in a picture."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sam.commands.options import add_model_options, load_model

if TYPE_CHECKING:
    from edge_sam.commands.predict_files import Answer

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_predict(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    predict = commands.add_parser(
        "predict", help="masks of what points and boxes ask for: PNG, overlay, COCO JSON", allow_abbrev=False
    )
    predict.add_argument("image", type=Path, help="the picture")
    add_model_options(predict)
    predict.add_argument(
        "--point", type=_point, action="append", default=[], dest="points", metavar="X,Y[,0|1]",
        help="pixel of the object (1, the default) or beside it (0); all points ask for one object",
    )  # fmt: skip
    predict.add_argument(
        "--box", type=_box, action="append", default=[], dest="boxes", metavar="X0,Y0,X1,Y1",
        help="box of an object; several ask for as many objects; cut at the picture's edge (--box=-9,0,90,90)",
    )  # fmt: skip
    predict.add_argument(
        "--num-multimask-outputs", type=int, choices=(1, 3, 4), default=1,
        help="1: one mask; 3: candidates for what the prompt may mean; 4: both; default: %(default)s",
    )  # fmt: skip
    predict.add_argument("--use-stability-score", action="store_true", help="score by stability, not by predicted IoU")
    predict.add_argument("--out", type=Path, default=Path("masks"), metavar="DIR", help="default: %(default)s")
    predict.set_defaults(run=_predict)


def _predict(chosen: argparse.Namespace) -> None:
    from edge_sam.commands.predict_files import write_answer
    from edge_sam.inputs.pictures import read_pixels

    pixels = read_pixels(chosen.image)
    answer = _ask(chosen, pixels)
    for line in write_answer(answer, chosen.image, pixels, chosen.out):
        print(line)


def _ask(chosen: argparse.Namespace, pixels: Any) -> "Answer":  # noqa: ANN401 - NumPy is imported late
    import numpy as np

    from edge_sam.commands.predict_files import Answer
    from edge_sam.errors import EdgeSamError
    from edge_sam.inference.predictor import SamPredictor

    if not chosen.points and not chosen.boxes:
        raise EdgeSamError("no prompt: give --point or --box")
    if chosen.points and len(chosen.boxes) > 1:
        raise EdgeSamError(f"{len(chosen.boxes)} boxes and points: points ask for one object; give one box with them")
    points = np.array([point[:2] for point in chosen.points], dtype=np.float64).reshape(-1, 2)
    labels = np.array([point[2] for point in chosen.points], dtype=np.int64)
    boxes = np.array(chosen.boxes, dtype=np.float64).reshape(-1, 4)
    predictor = SamPredictor(load_model(chosen))
    predictor.set_image(pixels)
    masks, scores, _ = predictor.predict(
        points[None] if len(points) else None,
        labels[None] if len(points) else None,
        boxes if len(boxes) else None,
        num_multimask_outputs=chosen.num_multimask_outputs,
        use_stability_score=chosen.use_stability_score,
    )
    return Answer(masks.astype(np.bool_), scores, points, labels, boxes)


def _point(text: str) -> tuple[float, float, int]:
    numbers = _numbers(text)
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] not in (0, 1)):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y or X,Y,1 (of the object) or X,Y,0 (beside it)")
    return numbers[0], numbers[1], int(numbers[2]) if len(numbers) == 3 else 1


def _box(text: str) -> list[float]:
    numbers = _numbers(text)
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not X0,Y0,X1,Y1: left, top, right, bottom")
    return numbers


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas between them") from None
