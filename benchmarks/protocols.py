"""Every protocol on real photographs, for the models at hand: the tables of docs/results.md, as Markdown.

python -m benchmarks.protocols CHECKPOINT [CHECKPOINT ...] --coco DIR --sa1b DIR --output FILE.md

Box, centre, box centre, random and annotated points, clicks, one, three and four masks by each choice, both ground
truths, boundary IoU; on COCO AP by true boxes, too; on SA-1B's layout average recall of automatic masks.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

import edge_sam
from edge_sam.arguments import run_command
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World
from edge_sam.evaluation.ap_protocol import ApProtocol
from edge_sam.evaluation.average_precision import evaluate_ap
from edge_sam.evaluation.average_recall import RecallProtocol, evaluate_average_recall
from edge_sam.evaluation.bootstrap import INTERVAL_IN_WORDS, Interval, interval_by_image
from edge_sam.evaluation.data_hash import data_sha256
from edge_sam.evaluation.detections import AnnotatedBoxes
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol, GroundTruth
from edge_sam.evaluation.report import model_in_words
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.loading import load_sam, network_of
from edge_sam.modeling.sam import Sam

Cells = dict[str, str]
"""What stands in a column, by row."""

_POINT = EvaluationProtocol("point", "mask-center")
_OF_THREE = replace(_POINT, num_multimask_outputs=3)
PROTOCOLS = (
    EvaluationProtocol("box", refine_iters=2, boundary=True),
    replace(_POINT, refine_iters=2, boundary=True),
    replace(_POINT, point_from="point"),
    replace(_POINT, point_from="mask-rand"),
    replace(_POINT, point_from="box-center"),
    EvaluationProtocol("box", num_multimask_outputs=3),
    _OF_THREE,
    replace(_OF_THREE, multimask_select="stability"),
    replace(_OF_THREE, multimask_select="area"),
    replace(_OF_THREE, multimask_select="oracle"),
    replace(_OF_THREE, num_multimask_outputs=4),
    replace(_OF_THREE, num_multimask_outputs=4, multimask_select="oracle"),
)
GROUND_TRUTHS: tuple[GroundTruth, ...] = ("exact", "edgesam")


def with_interval(value: float | None, interval: Interval | None) -> str:
    """Return a number and its interval as a cell."""
    return "-" if value is None or interval is None else f"{value:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def miou_column(sam: Sam, dataset: Sa1bDataset | CocoDataset, instances: int | None, world: World) -> tuple[Cells, str]:
    """Measure mean IoU by all protocols.

    Returns:
        The cells, and on what they were measured.
    """
    protocols = [replace(one, ground_truth=truth) for truth in GROUND_TRUTHS for one in PROTOCOLS]
    results = evaluate_miou(sam, dataset, protocols, world=world, max_instances=instances, num_workers=0)
    cells = {}
    for result in results:
        protocol = result.protocol
        kinds = {"": result.iou} | ({", boundary": result.boundary_iou} if result.boundary_iou is not None else {})
        for kind, iou in kinds.items():
            for number, name in enumerate(protocol.rounds):
                first = protocol.name if number == 0 else f"{protocol.name} {name}"
                interval = interval_by_image(iou[:, number], result.image_ids)
                cells[f"{first}{kind}, {protocol.ground_truth}"] = with_interval(float(iou[:, number].mean()), interval)
        cells[f"{protocol.name}, {protocol.ground_truth}: failures, empty"] = (
            f"{len(result.failures)}, {len(result.empty)}"
        )
    one = results[0]
    data = f"data {one.data_sha256[:12]}, {one.images} images, {one.instances} instances"
    data += _left_out(("refused", one.refusals))
    return {row: cell for row, cell in cells.items() if not row.endswith("empty") or cell != "0, 0"}, data


def ap_column(sam: Sam, dataset: CocoDataset, world: World) -> tuple[Cells, str]:
    """Measure mask and boundary AP by the annotations' boxes, see :func:`miou_column`."""
    result = evaluate_ap(sam, dataset, AnnotatedBoxes(dataset), AP_PROTOCOL, world=world, num_workers=0)
    assert result.boundary_ap is not None
    cells = {
        f"{kind} {name}": with_interval(value, count.intervals[name])
        for kind, count in (("mask", result.mask_ap), ("boundary", result.boundary_ap))
        for name, value in count.numbers.items()
    }
    data = f"data {result.data_sha256[:12]}, {result.images} images, {result.objects} objects"
    return cells, data + _left_out(("failures", result.failures), ("empty", result.empty), ("refused", result.refusals))


AP_PROTOCOL = ApProtocol(AnnotatedBoxes.name, boundary=True, ranking="box-x-iou")


def recall_column(sam: Sam, dataset: Sa1bDataset, protocol: RecallProtocol, world: World) -> tuple[Cells, str]:
    """Measure average recall of automatic masks, see :func:`miou_column`."""
    result = evaluate_average_recall(sam, dataset, protocol, world=world, num_workers=0)
    cells = {
        f"AR@{limit}": with_interval(result.average_recall(limit), result.interval(limit)) for limit in protocol.limits
    }
    sha256 = data_sha256(image.data_sha256 for image in result.images)
    data = f"data {sha256[:12]}, {len(result.images)} images, {result.instances()} annotated masks"
    return cells, data + _left_out(("failures", result.failures), ("refused", result.refusals))


def _left_out(*lists: tuple[str, Sequence[object]]) -> str:
    """Count what failed or could not be measured, where there is such."""
    return "".join(f", {len(names)} {kind}" for kind, names in lists if names)


def table(columns: dict[str, tuple[Cells, str]]) -> Iterator[str]:
    """Write a table with a column a model."""
    yield f"| | {' | '.join(columns)} |"
    yield f"| --- |{' --: |' * len(columns)}"
    rows = dict.fromkeys(row for cells, _ in columns.values() for row in cells)
    for row in rows:
        yield f"| {row} | {' | '.join(cells.get(row, '') for cells, _ in columns.values())} |"
    yield ""
    for name, (_, data) in columns.items():
        yield f"* {name}: {data}"
    yield ""


def report(chosen: argparse.Namespace, world: World) -> Iterator[str]:
    """Measure what was asked for and give the lines of the Markdown."""
    models = {
        path.stem: load_sam(path, None, chosen.image_size, chosen.upsample_mode).to(world.device)
        for path in chosen.checkpoints
    }
    yield f"edge_sam {edge_sam.__version__}; in brackets the {INTERVAL_IN_WORDS}"
    yield ""
    for path, sam in zip(chosen.checkpoints, models.values(), strict=True):
        yield f"* {path.stem}: {model_in_words(file_sha256(path), network_of(sam), 'float32')}"
    for protocol in PROTOCOLS:
        yield f"* {protocol.name}, exact: {protocol.describe()}"
    edgesam = replace(PROTOCOLS[0], ground_truth="edgesam").describe()
    yield f"* rows of edgesam differ in the ground truth alone, e.g. the first: {edgesam}"
    yield ""

    def columns(measure: Callable[[Sam], tuple[Cells, str]]) -> Iterator[str]:
        return table({name: measure(sam) for name, sam in models.items()})

    if chosen.coco is not None:
        yield "### Mean IoU on COCO\n"
        yield from columns(
            lambda sam: miou_column(
                sam, CocoDataset(chosen.coco, "coco", sam.image_size, chosen.images), chosen.instances, world
            )
        )
        yield f"### AP on COCO\n\n{AP_PROTOCOL.describe()}\n"
        yield from columns(
            lambda sam: ap_column(
                sam, CocoDataset(chosen.coco, "coco", sam.image_size, chosen.images, annotated_only=False), world
            )
        )
    if chosen.sa1b is not None:
        yield "### Mean IoU on SA-1B's layout, val\n"
        yield from columns(lambda sam: miou_column(sam, _val(chosen, sam, chosen.images), chosen.instances, world))
        recall = RecallProtocol(chosen.points_per_side, chosen.pred_iou_thresh, chosen.stability_score_thresh)
        yield f"### Automatic masks\n\n{recall.describe()}\n"
        yield from columns(lambda sam: recall_column(sam, _val(chosen, sam, chosen.recall_images), recall, world))


def _val(chosen: argparse.Namespace, sam: Sam, images: int) -> Sa1bDataset:
    return Sa1bDataset(chosen.sa1b, "val", sam.image_size, images, keep_annotations=True)


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="whole models, SAM's or ours")
    parser.add_argument("--coco", type=Path, metavar="DIR", help="the folder that holds coco/")
    parser.add_argument("--sa1b", type=Path, metavar="DIR", help="a folder of SA-1B's layout")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.md", help="the tables")
    parser.add_argument("--images", type=int, default=-1, metavar="N", help="the first N of each; default all")
    parser.add_argument("--instances", type=int, metavar="M", help="the first M masks of an image; default all")
    parser.add_argument("--recall-images", type=int, default=20, metavar="N", help="for automatic masks, default 20")
    parser.add_argument("--points-per-side", type=int, default=16, metavar="N", help="for automatic masks, default 16")
    usual = RecallProtocol()
    for name in ("pred_iou_thresh", "stability_score_thresh"):
        option, value = "--" + name.replace("_", "-"), getattr(usual, name)
        parser.add_argument(
            option, type=float, default=value, metavar="X", help=f"for automatic masks, default {value}"
        )
    parser.add_argument("--image-size", type=int, metavar="N", help="of the models, where their files do not tell")
    parser.add_argument("--upsample-mode", choices=("bilinear", "bicubic"), help="likewise")
    chosen = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with chosen.output.open("w", encoding="utf-8") as file:
        for line in report(chosen, World(0, 1, device)):
            print(line, file=file, flush=True)
    print(f"written to {chosen.output}")


if __name__ == "__main__":
    main()
