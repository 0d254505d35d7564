"""The command behind ``evaluation/eval_ap.py``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

import edge_sam
from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import COCO_LAYOUTS, CocoDataset
from edge_sam.distributed import World, process_group
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.ap_protocol import ApProtocol, ApSelect, Ranking
from edge_sam.evaluation.average_precision import ApResult, evaluate_ap
from edge_sam.evaluation.bootstrap import DRAWS, INTERVAL_IN_WORDS, SEED, SHARE
from edge_sam.evaluation.coco_scoring import AveragePrecision
from edge_sam.evaluation.datasets import (
    add_dataset_arguments,
    chosen_images,
    dataset_path,
    open_coco,
    pin_images,
    unusual_choice,
)
from edge_sam.evaluation.detections import AnnotatedBoxes, BoxSource, DetectedBoxes
from edge_sam.evaluation.output_files import check_writable, default_output
from edge_sam.evaluation.protocols import MultimaskOutputs
from edge_sam.evaluation.report import first_names, model_in_words, write_json
from edge_sam.evaluation.run import check_image_list, check_refusals, network_of_run, precision, unusual_precision
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.network_settings import expect_network_settings
from edge_sam.modeling.registry import build_sam
from edge_sam.progress import show_progress

_GROUND_TRUTH = "ground-truth"
_INTERVAL_IN_WORDS = f"{INTERVAL_IN_WORDS}, moved so that the draws' mean is the number"


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    parser = argparse.ArgumentParser(
        prog="eval_ap.py", description="Mask AP of a checkpoint that is asked with boxes.", allow_abbrev=False
    )
    add_run_arguments(parser, positional_config=True)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a converted file, one of phase 2, a SAM")
    add_dataset_arguments(parser, tuple(COCO_LAYOUTS))
    parser.add_argument(
        "--boxes", required=True, metavar="FILE", help=f"a detector's in COCO's results format, or {_GROUND_TRUTH}"
    )
    parser.add_argument("--ranking", choices=get_args(Ranking), default="box", help="what masks are ranked by")
    parser.add_argument("--boundary", action="store_true", help="boundary AP, too")
    parser.add_argument(
        "--num-multimask-outputs", type=int, choices=get_args(MultimaskOutputs), default=1, help="default 1"
    )
    parser.add_argument("--multimask-select", choices=get_args(ApSelect), help="which mask counts (default score)")
    parser.add_argument("--max-prompt-bs", type=int, default=32, metavar="M", help="boxes decoded at once (default 32)")
    parser.add_argument("--img-bs", type=int, default=4, metavar="B", help="images encoded at once (default 4)")
    parser.add_argument("--output", dest="json", type=Path, metavar="JSON", help="default: beside the checkpoint")
    return parser


def _protocol(namespace: argparse.Namespace, source: BoxSource) -> ApProtocol:
    return ApProtocol(
        boxes=source.name,
        style="lvis" if COCO_LAYOUTS[namespace.dataset].is_lvis else "coco",
        num_multimask_outputs=namespace.num_multimask_outputs,
        multimask_select=namespace.multimask_select or "score",
        ranking=namespace.ranking,
        boundary=namespace.boundary,
    )


def _check_arguments(namespace: argparse.Namespace) -> None:
    if namespace.num_multimask_outputs == 1 and namespace.multimask_select:
        raise EdgeSamError("--multimask-select chooses among several masks: add --num-multimask-outputs 3 or 4")
    for name in ("max_prompt_bs", "img_bs"):
        if getattr(namespace, name) < 1:
            raise EdgeSamError(f"--{name.replace('_', '-')} {getattr(namespace, name)}: must be at least 1")
    check_image_list(namespace)


def _default_output(namespace: argparse.Namespace, config: RunConfig) -> Path:
    """Return ``CHECKPOINT.DATASET_BOXES.AP.json``, with words for options and a hash of what is unusual beside them."""
    several = namespace.num_multimask_outputs
    unusual = unusual_choice(namespace, config) | unusual_precision(config)
    boxes = namespace.boxes
    if boxes != _GROUND_TRUTH:
        # Detectors' files of one name lie in many folders.
        unusual["boxes"], boxes = str(Path(boxes).resolve()), Path(boxes).stem
    parts = [namespace.dataset, boxes]
    parts += [f"{namespace.multimask_select or 'score'}-of-{several}"] if several > 1 else []
    parts += [namespace.ranking] if namespace.ranking != "box" else []
    parts += ["boundary"] if namespace.boundary else []
    return default_output(namespace.checkpoint, "_".join(parts), "AP", unusual)


@run_command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure a checkpoint, print a table and write JSON."""
    namespace = build_parser().parse_args(argv)
    _check_arguments(namespace)
    config = config_from_arguments(namespace)
    output = namespace.json or _default_output(namespace, config)
    check_writable(output)
    with process_group(config.ONLY_CPU) as world:
        dataset = open_coco(namespace, config, annotated_only=False)
        result = _evaluate(namespace, config, dataset, world)
        if world.is_main:
            pin_images(namespace, dataset.ids)
            checkpoint, chosen = file_sha256(namespace.checkpoint), chosen_images(namespace, config)
            model = model_in_words(checkpoint, network_of_run(config), precision(config))
            content = result_to_json(result, model, chosen) | _provenance(namespace, config, world, checkpoint)
            write_json(content, output)
            Console(width=None if sys.stdout.isatty() else 120).print(render_result(result, model, chosen))
            print(f"written to {output}", flush=True)
        check_refusals(result.refusals, len(dataset), config.DATA.MAX_BAD_SHARE)


def _evaluate(namespace: argparse.Namespace, config: RunConfig, dataset: CocoDataset, world: World) -> ApResult:
    source: BoxSource = AnnotatedBoxes(dataset)
    if namespace.boxes != _GROUND_TRUTH:
        source = DetectedBoxes(Path(namespace.boxes), dataset)
    protocol = _protocol(namespace, source)
    expect_network_settings(namespace.checkpoint, config.model_dump(mode="json"))
    sam = build_sam(
        config.MODEL.TYPE,
        config.DATA.IMG_SIZE,
        config.DISTILL.FUSE,
        config.DISTILL.UPSAMPLE_MODE,
        checkpoint=namespace.checkpoint,
    ).to(world.device)
    if world.is_main:
        print(f"{namespace.checkpoint}: {config.MODEL.TYPE} at {config.DATA.IMG_SIZE} px, {precision(config)}")
        print(f"{dataset.annotation_file}: {len(dataset)} images\n  {protocol.describe()}", flush=True)
    with show_progress("average precision", len(dataset), shown=world.is_main) as advance:
        return evaluate_ap(
            sam, dataset, source, protocol, world=world, image_batch=namespace.img_bs,
            max_prompts=namespace.max_prompt_bs, num_workers=config.DATA.NUM_WORKERS, amp=config.AMP_ENABLE,
            progress=advance,
        )  # fmt: skip


def result_line(result: ApResult, model: str, chosen: str) -> str:
    """Return the line without which a number of ``result`` is not to be told: how, of which model, on which data.

    Args:
        result: whose numbers.
        model: see :func:`edge_sam.evaluation.report.model_in_words`.
        chosen: in words, which images of which data set were taken.
    """
    return (
        f"{result.protocol.describe()}; {model}, data {result.data_sha256[:12]}: {chosen}, "
        f"{result.images} images, {result.objects} objects, {result.crowds} crowds, {result.boxes} boxes, "
        f"edge_sam {edge_sam.__version__}"
    )


def _counts(result: ApResult) -> dict[str, AveragePrecision]:
    return {"mask": result.mask_ap} | ({"boundary": result.boundary_ap} if result.boundary_ap else {})


def render_result(result: ApResult, model: str, chosen: str) -> RenderableType:
    """Return a table, what its numbers mean, and what could not be measured."""
    table = Table(title="average precision")
    table.add_column("by")
    for name in result.mask_ap.numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name, count in _counts(result).items():
        table.add_row(name, *("-" if value is None else f"{value:.4f}" for value in count.numbers.values()))
        intervals = count.intervals.values()
        table.add_row("  95 %", *("-" if one is None else f"{one.low:.4f}\n{one.high:.4f}" for one in intervals))
    lines = [result_line(result, model, chosen), f"below each number: {_INTERVAL_IN_WORDS}"]
    if result.without_boxes:
        lines.append(f"for {result.without_boxes} of {result.images} images, which have objects, there is not one box")
    if result.strayed:
        names = [f"{image_id} box {number}" for image_id, number in result.strayed]
        lines.append(
            f"{len(names)} boxes whose middle is out of the picture, asked for as they are: {first_names(names)}"
        )
    if result.unused:
        names = [f"image {image_id} ({count})" for image_id, count in result.unused]
        boxes = sum(count for _, count in result.unused)
        lines.append(f"{boxes} boxes of {len(names)} images that are not measured left out: {first_names(names)}")
    if result.failures:
        names = [f"{image_id} box {number}" for image_id, number in result.failures]
        lines.append(f"{len(names)} answers of NaN or infinity count as empty masks: {first_names(names)}")
    if result.empty:
        names = [f"{image_id} annotation {name}" for image_id, name in result.empty]
        lines.append(f"{len(names)} annotated masks without a pixel, which nothing can match: {first_names(names)}")
    if result.refusals:
        names = [f"{refusal.image_id} ({refusal.reason})" for refusal in result.refusals]
        lines.append(f"{len(names)} images or annotations could not be used: {first_names(names)}")
    return Group(table, *map(escape, lines))


def result_to_json(result: ApResult, model: str, chosen: str) -> dict[str, Any]:
    """Return everything as JSON knows it."""
    return {
        "line": result_line(result, model, chosen),
        "protocol": result.protocol.to_json(),
        "average_precision": {name: count.numbers for name, count in _counts(result).items()},
        "interval": {"share": SHARE, "draws": DRAWS, "seed": SEED, "line": _INTERVAL_IN_WORDS}
        | {name: count.intervals for name, count in _counts(result).items()},
        "mean_of_draws": {name: count.drawn for name, count in _counts(result).items()},
        "images": result.images,
        "objects": result.objects,
        "crowds": result.crowds,
        "boxes": result.boxes,
        "images_without_boxes": result.without_boxes,
        "boxes_out_of_picture": [{"image_id": image_id, "box": number} for image_id, number in result.strayed],
        "boxes_not_used": [{"image": image_id, "boxes": count} for image_id, count in result.unused],
        "failures": [{"image_id": image_id, "box": number} for image_id, number in result.failures],
        "empty": [{"image_id": image_id, "annotation": name} for image_id, name in result.empty],
        "refusals": [vars(refusal) for refusal in result.refusals],
        "data_sha256": result.data_sha256,
    }


def _provenance(namespace: argparse.Namespace, config: RunConfig, world: World, checkpoint: str) -> dict[str, Any]:
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
        "data": {"dataset": namespace.dataset, "path": dataset_path(namespace, config), "boxes": namespace.boxes},
        "processes": world.size,
        "device": torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu",
        "precision": precision(config),
    }
