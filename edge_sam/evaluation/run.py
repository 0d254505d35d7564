"""The command behind ``evaluation/eval_mIoU.py``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console

from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Refusal, Sa1bDataset
from edge_sam.distributed import World, process_group
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.datasets import (
    DATASETS,
    add_dataset_arguments,
    chosen_images,
    dataset_path,
    open_dataset,
    pin_images,
    unusual_choice,
)
from edge_sam.evaluation.miou import MiouResult, evaluate_miou
from edge_sam.evaluation.output_files import check_writable, default_output
from edge_sam.evaluation.protocols import (
    EvaluationProtocol,
    GroundTruth,
    MultimaskOutputs,
    MultimaskSelect,
    PointFrom,
    PromptType,
    guide_suite,
)
from edge_sam.evaluation.report import model_in_words, render_results, results_to_json, write_json
from edge_sam.evaluation.suites import SUITES, SuitePart
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import expect_network_settings
from edge_sam.modeling.registry import build_sam
from edge_sam.progress import show_progress

_PROTOCOL_OPTIONS = ("prompt_types", "point_from", "refine_iter", "num_multimask_outputs", "multimask_select")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    parser = argparse.ArgumentParser(
        prog="eval_mIoU.py", description="Mean IoU of a checkpoint on images with annotated masks.", allow_abbrev=False
    )
    add_run_arguments(parser, positional_config=True)
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="a converted file, one of phase 2, or a SAM"
    )
    add_dataset_arguments(parser)
    parser.add_argument(
        "--suite", choices=("guide", "paper"),
        help="the guide's protocols, or those that EdgeSAM's paper has for --dataset (of SA-1B the first 1000 images, "
        "64 masks each), instead of the next five options",
    )  # fmt: skip
    parser.add_argument("--prompt-types", choices=get_args(PromptType), help="first prompt (default box)")
    parser.add_argument("--point-from", choices=get_args(PointFrom), help="where its point comes from (default point)")
    parser.add_argument("--refine-iter", type=int, metavar="K", help="clicks after the first prompt (default 0)")
    parser.add_argument("--num-multimask-outputs", type=int, choices=get_args(MultimaskOutputs), help="default 1")
    parser.add_argument(
        "--multimask-select", choices=get_args(MultimaskSelect), help="which mask counts (default score)"
    )
    parser.add_argument("--ground-truth", choices=get_args(GroundTruth), default="exact", help="default exact")
    parser.add_argument("--boundary", action="store_true", help="mean boundary IoU, too")
    parser.add_argument("--seed", type=int, default=0, help="of clicks and random points (default 0)")
    parser.add_argument("--num-instances", type=int, metavar="M", help="the first M masks of an image (default all)")
    parser.add_argument(
        "--max-prompt-bs", type=int, default=32, metavar="M", help="prompts decoded at once (default 32)"
    )
    parser.add_argument("--img-bs", type=int, default=4, metavar="B", help="images encoded at once (default 4)")
    parser.add_argument("--output", dest="json", type=Path, metavar="JSON", help="default: beside the checkpoint")
    return parser


def protocols_from_arguments(namespace: argparse.Namespace) -> tuple[EvaluationProtocol, ...]:
    """Return what the options ask to measure.

    Raises:
        EdgeSamError: options that contradict each other or are out of range.
    """
    given = {name: getattr(namespace, name) for name in _PROTOCOL_OPTIONS if getattr(namespace, name) is not None}
    if namespace.suite is not None:
        if given:
            option = "--" + next(iter(given)).replace("_", "-")
            raise EdgeSamError(f"--suite {namespace.suite} brings its own protocols: leave out {option}, or the suite")
        if namespace.suite == "paper":
            return _paper_part(namespace).protocols
        return guide_suite(namespace.ground_truth, namespace.seed, namespace.boundary)
    if given.get("prompt_types", "box") == "box" and "point_from" in given:
        raise EdgeSamError("--point-from says where points come from: add --prompt-types point")
    if given.get("num_multimask_outputs", 1) == 1 and "multimask_select" in given:
        raise EdgeSamError("--multimask-select chooses among several masks: add --num-multimask-outputs 3 or 4")
    fields = {"prompt_types": "prompt_type", "refine_iter": "refine_iters"}
    chosen: dict[str, Any] = {fields.get(name, name): value for name, value in given.items()}
    common = {"ground_truth": namespace.ground_truth, "seed": namespace.seed, "boundary": namespace.boundary}
    return (EvaluationProtocol(**chosen, **common),)


def _paper_part(namespace: argparse.Namespace) -> SuitePart:
    """Return what the paper's suite measures on ``--dataset``; its columns of LVIS are those of both LVIS files."""
    dataset = {"cocofied_lvis": "lvis"}.get(namespace.dataset, namespace.dataset)
    chosen = {part.dataset: part for part in SUITES["paper"]}.get(dataset)
    if chosen is None:
        raise EdgeSamError(f"--dataset {namespace.dataset}: no such data set; there is {', '.join(DATASETS)}")
    common = {"ground_truth": namespace.ground_truth, "seed": namespace.seed, "boundary": namespace.boundary}
    return replace(chosen, protocols=tuple(replace(protocol, **common) for protocol in chosen.protocols))


def _take_sizes_of_suite(namespace: argparse.Namespace) -> None:
    """Take the paper's numbers of images and instances where no option says otherwise."""
    if namespace.suite != "paper":
        return
    part = _paper_part(namespace)
    namespace.num_samples = part.num_images if namespace.num_samples is None else namespace.num_samples
    namespace.num_instances = part.max_instances if namespace.num_instances is None else namespace.num_instances


def _check_arguments(namespace: argparse.Namespace) -> None:
    smallest = {"refine_iter": 0, "num_instances": 1, "max_prompt_bs": 1, "img_bs": 1, "seed": 0}
    for name, bound in smallest.items():
        value = getattr(namespace, name)
        if value is not None and value < bound:
            raise EdgeSamError(f"--{name.replace('_', '-')} {value}: must be at least {bound}")
    check_image_list(namespace)


def check_image_list(namespace: argparse.Namespace) -> None:
    """Insist that a list of images that is there says alone which are used."""
    if namespace.image_list is None:
        return
    if namespace.image_list.exists():
        if namespace.num_samples is not None:
            raise EdgeSamError(
                f"--image-list {namespace.image_list} is there and says which images: leave out --num-samples, or name "
                "a file that is yet to be written"
            )
    else:
        check_writable(namespace.image_list, "--image-list FILE")


def _default_output(namespace: argparse.Namespace, protocols: Sequence[EvaluationProtocol], config: RunConfig) -> Path:
    """Return a file for what the options ask for; numbers that a suite brings along are no options."""
    suite = f"{namespace.suite}_{namespace.ground_truth}{'_boundary' if namespace.boundary else ''}"
    what = protocols[0].file_name if namespace.suite is None else suite
    dataset = "" if namespace.dataset == "sa" else f"{namespace.dataset}_"
    unusual = unusual_choice(namespace, config) | unusual_precision(config)
    if namespace.num_instances is not None:
        unusual["num_instances"] = namespace.num_instances
    if namespace.seed and any(protocol.uses_chance for protocol in protocols):
        unusual["seed"] = namespace.seed
    return default_output(namespace.checkpoint, f"{dataset}{what}", "mIoU", unusual)


@run_command
def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate a checkpoint, print a table and write JSON."""
    namespace = build_parser().parse_args(argv)
    _check_arguments(namespace)
    protocols = protocols_from_arguments(namespace)
    config = config_from_arguments(namespace)
    output = namespace.json or _default_output(namespace, protocols, config)
    _take_sizes_of_suite(namespace)
    check_writable(output)
    with process_group(config.ONLY_CPU) as world:
        dataset = open_dataset(namespace, config)
        results = _evaluate(namespace, config, protocols, dataset, world)
        if world.is_main:
            pin_images(namespace, dataset.ids)
            model = model_in_words(file_sha256(namespace.checkpoint), network_of_run(config), precision(config))
            chosen = _chosen(namespace, config)
            provenance = _provenance(namespace, config, world, dataset)
            write_json(results_to_json(results, model, provenance, chosen), output)
            Console(width=None if sys.stdout.isatty() else 120).print(render_results(results, model, chosen))
            print(f"written to {output}", flush=True)
        check_refusals(results[0].refusals, len(dataset), config.DATA.MAX_BAD_SHARE)


def _chosen(namespace: argparse.Namespace, config: RunConfig) -> str:
    """Return in words which images and which of their masks are measured."""
    masks = "" if namespace.num_instances is None else f", first {namespace.num_instances} masks of each"
    return chosen_images(namespace, config) + masks


def _evaluate(
    namespace: argparse.Namespace,
    config: RunConfig,
    protocols: Sequence[EvaluationProtocol],
    dataset: Sa1bDataset | CocoDataset,
    world: World,
) -> list[MiouResult]:
    expect_network_settings(namespace.checkpoint, config.model_dump(mode="json"))
    sam = build_sam(
        config.MODEL.TYPE,
        config.DATA.IMG_SIZE,
        config.DISTILL.FUSE,
        config.DISTILL.UPSAMPLE_MODE,
        checkpoint=namespace.checkpoint,
    ).to(world.device)
    if world.is_main:
        _announce(namespace, config, protocols, world, dataset)
    with show_progress("evaluation", len(dataset), shown=world.is_main) as advance:
        results = evaluate_miou(
            sam, dataset, protocols, world=world, image_batch=namespace.img_bs, max_prompts=namespace.max_prompt_bs,
            max_instances=namespace.num_instances, num_workers=config.DATA.NUM_WORKERS, amp=config.AMP_ENABLE,
            progress=advance,
        )  # fmt: skip
    return results


def _announce(
    namespace: argparse.Namespace,
    config: RunConfig,
    protocols: Sequence[EvaluationProtocol],
    world: World,
    dataset: Sa1bDataset | CocoDataset,
) -> None:
    where = f"{world.size} process{'es' if world.size > 1 else ''} on {world.device.type}, {precision(config)}"
    print(f"{namespace.checkpoint}: {config.MODEL.TYPE} at {config.DATA.IMG_SIZE} px; {where}")
    print(f"{dataset_path(namespace, config)}: {len(dataset)} images of {namespace.dataset}, val split")
    announce_left_out(dataset)
    for protocol in protocols:
        print(f"  {protocol.name}: {protocol.describe()}", flush=True)


def announce_left_out(dataset: Sa1bDataset | CocoDataset) -> None:
    """Print what :func:`left_out` counts."""
    counts = [f"{count} {what}" for what, count in left_out(dataset).items() if count]
    if counts:
        print(f"  left out: {', '.join(counts)}", flush=True)


def left_out(dataset: Sa1bDataset | CocoDataset) -> dict[str, int]:
    """Count what there is in the data set that single objects' numbers are not of."""
    counts = {"images without an annotation": dataset.unannotated}
    if isinstance(dataset, CocoDataset):
        return counts | {"crowds": dataset.crowds}
    return counts | {"annotation files of the split without an image": dataset.pictureless}


def network_of_run(config: RunConfig) -> Network:
    """Return the network that is evaluated."""
    return Network(config.MODEL.TYPE, config.DATA.IMG_SIZE, config.DISTILL.FUSE, config.DISTILL.UPSAMPLE_MODE)


def precision(config: RunConfig) -> str:
    """Return the number format that the networks compute in."""
    return "bf16" if config.AMP_ENABLE else "float32"


def unusual_precision(config: RunConfig) -> dict[str, str]:
    """Return the number format where it is not the usual one."""
    return {} if config.AMP_ENABLE == RunConfig().AMP_ENABLE else {"precision": precision(config)}


def check_refusals(refusals: Sequence[Refusal], images: int, share: float) -> None:
    """Insist that enough images could be measured. A broken annotation leaves its image and does not count.

    Raises:
        EdgeSamError: more than ``share`` of the images are broken.
    """
    broken = [refusal for refusal in refusals if refusal.kind == "image"]
    count = len({refusal.image_id for refusal in broken})
    if count > share * images:
        raise EdgeSamError(
            f"{count} of {images} images are broken, more than DATA.MAX_BAD_SHARE = {share}: the numbers are those of "
            f"the others alone; the first: {broken[0].image_id}: {broken[0].reason}"
        )


def _provenance(
    namespace: argparse.Namespace, config: RunConfig, world: World, dataset: Sa1bDataset | CocoDataset
) -> dict[str, Any]:
    return {
        "checkpoint": {"path": str(namespace.checkpoint), "sha256": file_sha256(namespace.checkpoint)},
        "model": {
            "type": config.MODEL.TYPE,
            "image_size": config.DATA.IMG_SIZE,
            "fuse": config.DISTILL.FUSE,
            "upsample_mode": config.DISTILL.UPSAMPLE_MODE,
        },
        "data": {
            "dataset": namespace.dataset,
            "path": dataset_path(namespace, config),
            "split": "val",
            "chosen": _chosen(namespace, config),
            "left_out": left_out(dataset),
        },
        "processes": world.size,
        "device": torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu",
        "precision": precision(config),
    }
