"""``edgesam eval``: several models on the same images, objects and prompts, and a page about it."""

import argparse
from pathlib import Path

from edge_sam.commands.options import add_network_options

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_eval(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "eval", help="mean IoU of several models on the same prompts, with a report; resumes", allow_abbrev=False
    )
    parser.add_argument(
        "models", nargs="+", metavar="[NAME=]CKPT",
        help="a weight file, a folder of save_pretrained, a folder with an exported ONNX pair, or the pair as "
        "ENCODER.onnx,DECODER.onnx; the others are compared with the first",
    )  # fmt: skip
    parser.add_argument("--suite", default="quick", metavar="NAME", help="quick (default), sa1k, coco, lvis or paper")
    parser.add_argument(
        "--data-path", type=Path, default=Path("datasets"), metavar="DIR",
        help="the folder with SA-1B/, coco/ and lvis/, default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", metavar="NAME",
        help="sa, coco, lvis or cocofied_lvis: only the suite's part there, or all of its protocols where it has none",
    )  # fmt: skip
    parser.add_argument("--num-images", type=int, metavar="N", help="the first N by name (default: the suite's)")
    parser.add_argument(
        "--max-instances", type=int, metavar="M", help="the first M masks of an image (default: the suite's)"
    )
    parser.add_argument(
        "--image-list", type=Path, metavar="FILE", help="the images whose names, one a line, are in FILE"
    )
    parser.add_argument("--ground-truth", choices=("exact", "edgesam"), default="exact", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the clicks, default: %(default)s")
    parser.add_argument(
        "--output", type=Path, default=Path("comparison"), metavar="DIR",
        help="gets report.html, report.json and what was measured, default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=int, default=4, metavar="N", help="pictures of each kind a protocol, default: %(default)s"
    )
    parser.add_argument("--img-bs", type=int, default=4, metavar="B", help="images at once, default: 4")
    parser.add_argument("--max-prompt-bs", type=int, default=32, metavar="M", help="prompts at once, default: 32")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="reading processes, default: %(default)s")
    parser.add_argument("--bf16", action="store_true", help="bf16 autocast over the networks")
    parser.add_argument("--only-cpu", action="store_true", help="use no GPU even where there is one")
    add_network_options(parser)
    parser.set_defaults(run=_eval)


def _eval(chosen: argparse.Namespace) -> None:
    import sys

    import torch
    from rich.console import Console

    from edge_sam.evaluation.compared_models import Told, find_models
    from edge_sam.evaluation.compared_parts import ComparisonRequest
    from edge_sam.evaluation.comparison_table import render_part
    from edge_sam.evaluation.measurements import Pace
    from edge_sam.evaluation.run import check_refusals
    from edge_sam.evaluation.run_comparison import REPORT, write_comparison
    from edge_sam.evaluation.suites import find_suite
    from edge_sam.settings import DataSettings

    _check(chosen)
    parts = find_suite(
        chosen.suite,
        dataset=chosen.dataset,
        num_images=chosen.num_images,
        max_instances=chosen.max_instances,
        image_list=chosen.image_list,
        ground_truth=chosen.ground_truth,
        seed=chosen.seed,
    )
    device = torch.device("cuda" if torch.cuda.is_available() and not chosen.only_cpu else "cpu")
    told = Told(chosen.model_type, chosen.image_size, chosen.upsample_mode)
    models = find_models(chosen.models, told, device)
    for model in models:
        print(f"{model.name}: {model.kind}; {model.source}, {model.sha256[:12]}", flush=True)
    pace = Pace(chosen.img_bs, chosen.max_prompt_bs, chosen.workers)
    request = ComparisonRequest(tuple(models), parts, chosen.data_path, chosen.output, pace, chosen.bf16, chosen.cases)
    console = Console(width=None if sys.stdout.isatty() else 120)
    compared = write_comparison(request)
    for part in compared:
        console.print(render_part(part))
    print(f"written to {chosen.output / REPORT}.html and .json", flush=True)
    for part in compared:
        check_refusals(part.comparisons[0].results[0].refusals, len(part.dataset), DataSettings().MAX_BAD_SHARE)


def _check(chosen: argparse.Namespace) -> None:
    from edge_sam.errors import EdgeSamError

    smallest = {
        "num_images": 1,
        "max_instances": 1,
        "seed": 0,
        "cases": 0,
        "img_bs": 1,
        "max_prompt_bs": 1,
        "workers": 0,
    }
    for name, bound in smallest.items():
        value = getattr(chosen, name)
        if value is not None and value < bound:
            raise EdgeSamError(f"--{name.replace('_', '-')} {value}: must be at least {bound}")
    if chosen.image_list is not None and not chosen.image_list.exists():
        raise EdgeSamError(
            f"--image-list {chosen.image_list}: is not there, and edgesam eval only reads such a list: write the "
            "images' names to it, one a line, or let evaluation/eval_mIoU.py do that"
        )
