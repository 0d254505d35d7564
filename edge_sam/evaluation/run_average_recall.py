"""The command behind ``evaluation/eval_ar.py``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

import edge_sam
from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World, process_group
from edge_sam.evaluation.average_recall import (
    AverageRecallResult,
    RecallProtocol,
    evaluate_average_recall,
)
from edge_sam.evaluation.bootstrap import INTERVAL_IN_WORDS
from edge_sam.evaluation.buckets import IOU_THRESHOLDS, SIZES
from edge_sam.evaluation.data_hash import data_sha256
from edge_sam.evaluation.datasets import (
    add_dataset_arguments,
    chosen_images,
    dataset_path,
    open_dataset,
    pin_images,
    unusual_choice,
)
from edge_sam.evaluation.output_files import check_writable, default_output
from edge_sam.evaluation.report import first_names, model_in_words, write_json
from edge_sam.evaluation.run import (
    announce_left_out,
    check_image_list,
    check_refusals,
    left_out,
    network_of_run,
)
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.network_settings import expect_network_settings
from edge_sam.modeling.registry import build_sam
from edge_sam.progress import show_progress

_SIZES = ("all", *SIZES)
_PRECISION = "float32"
"""Automatic masks are made without autocast, whatever the configuration says."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    parser = argparse.ArgumentParser(
        prog="eval_ar.py", description="Average recall of a checkpoint's automatic masks.", allow_abbrev=False
    )
    add_run_arguments(parser, positional_config=True)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a converted file, one of phase 2, a SAM")
    add_dataset_arguments(parser)
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
    parser.add_argument("--spare-points", action="store_true", help="ask and make less where masks were found: faster")
    parser.add_argument("--points-per-batch", type=int, default=64, metavar="N", help="points decoded at once")
    parser.add_argument("--output", dest="json", type=Path, metavar="JSON", help="default: beside the checkpoint")
    return parser


def _protocol(namespace: argparse.Namespace) -> RecallProtocol:
    given = {field.name: getattr(namespace, field.name) for field in fields(RecallProtocol) if field.name != "limits"}
    return RecallProtocol(**given)


@run_command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure a checkpoint, print a table and write JSON."""
    namespace = build_parser().parse_args(argv)
    protocol = _protocol(namespace)
    config = config_from_arguments(namespace)
    check_image_list(namespace)
    output = namespace.json or _default_output(namespace, protocol, config)
    check_writable(output)
    with process_group(config.ONLY_CPU) as world:
        dataset = open_dataset(namespace, config)
        result = _evaluate(namespace, config, protocol, dataset, world)
        if world.is_main:
            pin_images(namespace, dataset.ids)
            checkpoint = file_sha256(namespace.checkpoint)
            model = model_in_words(checkpoint, network_of_run(config), _PRECISION)
            line = result_line(result, model, chosen_images(namespace, config))
            provenance = _provenance(namespace, config, world, checkpoint, dataset)
            write_json({"line": line} | provenance | _to_json(result), output)
            Console(width=None if sys.stdout.isatty() else 120).print(render(result, line))
            print(f"written to {output}", flush=True)
        check_refusals(result.refusals, len(dataset), config.DATA.MAX_BAD_SHARE)


def _default_output(namespace: argparse.Namespace, protocol: RecallProtocol, config: RunConfig) -> Path:
    """Return ``CHECKPOINT.DATASET.AR.json``, with a hash of what is unusual in protocol and choice of images."""
    usual = asdict(RecallProtocol())
    unusual = {name: value for name, value in asdict(protocol).items() if value != usual[name]}
    return default_output(namespace.checkpoint, namespace.dataset, "AR", unusual | unusual_choice(namespace, config))


def _evaluate(
    namespace: argparse.Namespace,
    config: RunConfig,
    protocol: RecallProtocol,
    dataset: Sa1bDataset | CocoDataset,
    world: World,
) -> AverageRecallResult:
    expect_network_settings(namespace.checkpoint, config.model_dump(mode="json"))
    sam = build_sam(
        config.MODEL.TYPE,
        config.DATA.IMG_SIZE,
        config.DISTILL.FUSE,
        config.DISTILL.UPSAMPLE_MODE,
        checkpoint=namespace.checkpoint,
    ).to(world.device)
    if world.is_main:
        print(f"{dataset_path(namespace, config)}: {len(dataset)} images of {namespace.dataset}", flush=True)
        announce_left_out(dataset)
    with show_progress("average recall", len(dataset), shown=world.is_main) as advance:
        return evaluate_average_recall(
            sam, dataset, protocol, world=world, points_per_batch=namespace.points_per_batch,
            num_workers=config.DATA.NUM_WORKERS, progress=advance,
        )  # fmt: skip


def result_line(result: AverageRecallResult, model: str, chosen: str) -> str:
    """Return the line without which a number of ``result`` is not to be told: how, of which model, on which data.

    Args:
        result: whose numbers.
        model: see :func:`edge_sam.evaluation.report.model_in_words`.
        chosen: in words, which images of which data set were taken.
    """
    data = data_sha256(image.data_sha256 for image in result.images)
    return (
        f"{result.protocol.describe()}; {model}, data {data[:12]}: {chosen}, "
        f"{len(result.images)} images, {result.instances()} annotated masks, edge_sam {edge_sam.__version__}"
    )


def render(result: AverageRecallResult, line: str) -> RenderableType:
    """Return a table of AR by number of masks and size, with the result's line and what could not be measured."""
    table = Table(title="average recall of automatic masks")
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
    lines = [line, f"{INTERVAL_IN_WORDS}: {intervals}", f"{found} masks found in {len(result.images)} images"]
    if result.failures:
        names = first_names(result.failures)
        lines.append(f"for {len(result.failures)} images the model gave NaN or infinity: {names}")
    if result.refusals:
        names = first_names([f"{refusal.image_id} ({refusal.reason})" for refusal in result.refusals])
        lines.append(f"{len(result.refusals)} images or annotations could not be read: {names}")
    return Group(table, *map(escape, lines))


def _interval(result: AverageRecallResult, limit: int) -> str:
    low, high = result.interval(limit)
    return f"AR@{limit} {low:.4f}-{high:.4f}"


def _provenance(
    namespace: argparse.Namespace,
    config: RunConfig,
    world: World,
    checkpoint: str,
    dataset: Sa1bDataset | CocoDataset,
) -> dict[str, Any]:
    return {
        "edge_sam": edge_sam.__version__,
        "torch": torch.__version__,
        "checkpoint": {"path": str(namespace.checkpoint), "sha256": checkpoint},
        "model": {
            "type": config.MODEL.TYPE,
            "image_size": config.DATA.IMG_SIZE,
            "fuse": config.DISTILL.FUSE,
            "upsample_mode": config.DISTILL.UPSAMPLE_MODE,
        },
        "data": {
            "dataset": namespace.dataset,
            "path": dataset_path(namespace, config),
            "left_out": left_out(dataset),
        },
        "processes": world.size,
        "device": torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu",
        "precision": _PRECISION,
    }


def _to_json(result: AverageRecallResult) -> dict[str, Any]:
    return {
        "data_sha256": data_sha256(image.data_sha256 for image in result.images),
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
        "failures": list(result.failures),
        "refusals": [vars(refusal) for refusal in result.refusals],
    }


def _number(value: float) -> float | None:
    """Return a number that JSON knows; nothing can be recalled of a size that no mask has."""
    return None if value != value else value
