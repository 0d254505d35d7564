"""The command behind ``evaluation/eval_ar.py``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console, Group, RenderableType
from rich.table import Table

import edge_sam
from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import COCO_LAYOUTS, CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World, process_group
from edge_sam.evaluation.average_recall import (
    AnnotatedPictures,
    AverageRecallResult,
    RecallProtocol,
    evaluate_average_recall,
)
from edge_sam.evaluation.buckets import IOU_THRESHOLDS, SIZES
from edge_sam.evaluation.data_hash import data_sha256
from edge_sam.evaluation.report import write_json
from edge_sam.evaluation.run import check_writable
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.network_settings import expect_network_settings
from edge_sam.modeling.registry import build_sam
from edge_sam.progress import show_progress

_SIZES = ("all", *SIZES)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    parser = argparse.ArgumentParser(
        prog="eval_ar.py", description="Average recall of a checkpoint's automatic masks.", allow_abbrev=False
    )
    add_run_arguments(parser, positional_config=True)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a converted file, one of phase 2, a SAM")
    parser.add_argument("--dataset", choices=("sa", *COCO_LAYOUTS), default="sa", help="default: %(default)s")
    usual = RecallProtocol()
    for name, text in {
        "points_per_side": "grid of points",
        "pred_iou_thresh": "masks stay whose predicted IoU is above",
        "stability_score_thresh": "masks stay whose stability score is at least this",
        "box_nms_thresh": "masks with boxes of a higher IoU are one",
        "crop_n_layers": "layers of crops",
    }.items():
        value = getattr(usual, name)
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(value), default=value, metavar="N", help=f"{text} (default {value})")
    parser.add_argument("--spare-points", action="store_true", help="do not ask where a mask was found")
    parser.add_argument("--points-per-batch", type=int, default=64, metavar="N", help="points decoded at once")
    parser.add_argument("--num-samples", type=int, metavar="N", help="the first N images (default DATA.NUM_SAMPLES)")
    parser.add_argument("--output", dest="json", type=Path, metavar="JSON", help="default: beside the checkpoint")
    return parser


@run_command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure a checkpoint, print a table and write JSON."""
    namespace = build_parser().parse_args(argv)
    given = {field.name: getattr(namespace, field.name) for field in fields(RecallProtocol) if field.name != "limits"}
    protocol = RecallProtocol(**given)
    config = config_from_arguments(namespace)
    output = namespace.json or Path(namespace.checkpoint).with_suffix(f".{namespace.dataset}.AR.json")
    check_writable(output)
    with process_group(config.ONLY_CPU) as world:
        result = _evaluate(namespace, config, protocol, world)
        if world.is_main:
            write_json(_to_json(result, namespace, config, world), output)
            Console(width=None if sys.stdout.isatty() else 120).print(render(result))
            print(f"written to {output}", flush=True)


def _evaluate(
    namespace: argparse.Namespace, config: RunConfig, protocol: RecallProtocol, world: World
) -> AverageRecallResult:
    dataset = _open(namespace, config)
    expect_network_settings(namespace.checkpoint, config.model_dump(mode="json"))
    sam = build_sam(
        config.MODEL.TYPE,
        config.DATA.IMG_SIZE,
        config.DISTILL.FUSE,
        config.DISTILL.UPSAMPLE_MODE,
        checkpoint=namespace.checkpoint,
    ).to(world.device)
    with show_progress("average recall", len(dataset), shown=world.is_main) as advance:
        return evaluate_average_recall(
            sam, dataset, protocol, world=world, points_per_batch=namespace.points_per_batch,
            num_workers=config.DATA.NUM_WORKERS, progress=advance,
        )  # fmt: skip


def _open(namespace: argparse.Namespace, config: RunConfig) -> AnnotatedPictures:
    number = config.DATA.NUM_SAMPLES if namespace.num_samples is None else namespace.num_samples
    path, size = config.DATA.DATA_PATH, config.DATA.IMG_SIZE
    if namespace.dataset == "sa":
        return Sa1bDataset(path, "val", size, number, keep_annotations=True)
    return CocoDataset(path, namespace.dataset, size, number)


def render(result: AverageRecallResult) -> RenderableType:
    """Return a table of AR by number of masks and size, with the protocol's line and what could not be measured."""
    table = Table(title="average recall of automatic masks", caption=result.protocol.describe(), caption_justify="left")
    table.add_column("annotated masks")
    table.add_column("number", justify="right")
    for limit in result.protocol.limits:
        table.add_column(f"AR@{limit}", justify="right")
    for size in _SIZES:
        values = [result.average_recall(limit, size) for limit in result.protocol.limits]
        shown = ["-" if value != value else f"{value:.4f}" for value in values]
        table.add_row(size, str(result.instances(size)), *shown)
    found = sum(image.found for image in result.images)
    intervals = ", ".join(_interval(result, limit) for limit in result.protocol.limits)
    lines = [f"{found} masks found in {len(result.images)} images; 95 % by image: {intervals}"]
    if result.empty:
        lines.append(f"{len(result.empty)} annotated masks without a pixel left out; the JSON file names them")
    if result.refusals:
        first = result.refusals[0]
        lines.append(f"could not be read: {len(result.refusals)}, the first {first.image_id}: {first.reason}")
    return Group(table, *lines)


def _interval(result: AverageRecallResult, limit: int) -> str:
    low, high = result.interval(limit)
    return f"AR@{limit} {low:.4f}-{high:.4f}"


def _to_json(
    result: AverageRecallResult, namespace: argparse.Namespace, config: RunConfig, world: World
) -> dict[str, Any]:
    return {
        "edge_sam": edge_sam.__version__,
        "torch": torch.__version__,
        "checkpoint": {"path": str(namespace.checkpoint), "sha256": file_sha256(namespace.checkpoint)},
        "model": {"type": config.MODEL.TYPE, "image_size": config.DATA.IMG_SIZE},
        "data": {
            "dataset": namespace.dataset,
            "path": config.DATA.DATA_PATH,
            "data_sha256": data_sha256(image.data_sha256 for image in result.images),
        },
        "device": torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu",
        "protocol": result.protocol.to_json(),
        "images": len(result.images),
        "instances": {size: result.instances(size) for size in _SIZES},
        "masks_found": sum(image.found for image in result.images),
        "average_recall": {
            size: {str(limit): _number(result.average_recall(limit, size)) for limit in result.protocol.limits}
            for size in _SIZES
        },
        "interval_95_by_image": {str(limit): list(result.interval(limit)) for limit in result.protocol.limits},
        "recall_at_iou": {
            str(limit): {
                f"{threshold:.2f}": float(value)
                for threshold, value in zip(IOU_THRESHOLDS, result.recall(limit), strict=True)
            }
            for limit in result.protocol.limits
        },
        "empty": [{"image_id": image_id, "annotation": number} for image_id, number in result.empty],
        "refusals": [vars(refusal) for refusal in result.refusals],
    }


def _number(value: float) -> float | None:
    """Return a number that JSON knows; nothing can be recalled of a size that no mask has."""
    return None if value != value else value
