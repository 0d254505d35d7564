"""The ``edgesam`` command: what surrounds training and evaluation, and the use of a model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_sam import __version__
from edge_sam.arguments import run_command
from edge_sam.commands.eval import add_eval
from edge_sam.commands.everything import add_everything
from edge_sam.commands.export import add_export
from edge_sam.commands.info import add_info
from edge_sam.commands.label import add_label
from edge_sam.commands.predict import add_predict
from edge_sam.commands.web import add_web


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the chosen command."""
    parser = argparse.ArgumentParser(prog="edgesam", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"edgesam {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prepare(commands)
    _add_download(commands)
    _add_synth(commands)
    _add_demo(commands)
    add_info(commands)
    add_predict(commands)
    add_everything(commands)
    add_label(commands)
    add_export(commands)
    add_eval(commands)
    add_web(commands)
    chosen = parser.parse_args(arguments)
    chosen.run(chosen)


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_prepare(commands: "Commands[argparse.ArgumentParser]") -> None:
    prepare = commands.add_parser("prepare", help="lay out a data set", allow_abbrev=False)
    sources = prepare.add_subparsers(required=True, metavar="DATASET")
    sa1b = sources.add_parser("sa1b", help="SA-1B, from links or tars; resumes, checks, lists", allow_abbrev=False)
    sa1b.add_argument("source", type=Path, help="your link file (file_name<TAB>cdn_link) or a folder of tars")
    sa1b.add_argument("--split", choices=("train", "val"), required=True)
    sa1b.add_argument("--subset", type=Path, metavar="FILE", help="tar names, one a line (default: the paper's)")
    sa1b.add_argument("--data-path", type=Path, default=Path("datasets/SA-1B"), help="default: %(default)s")
    sa1b.add_argument("--workers", type=int, metavar="N", help="checking threads (default: one a core)")
    sa1b.add_argument("--keep-tars", action="store_true", help="keep downloaded tars after they are laid out")
    sa1b.set_defaults(run=_prepare_sa1b)
    coco = sources.add_parser("coco", help="your own COCO instances file, as SA-1B is laid out", allow_abbrev=False)
    coco.add_argument("annotations", type=Path, help="COCO instances file (JSON; polygons or run lengths)")
    coco.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of its pictures")
    coco.add_argument("--split", choices=("train", "val"), required=True)
    coco.add_argument("--data-path", type=Path, required=True, metavar="DIR", help="the folder to fill")
    coco.add_argument("--workers", type=int, metavar="N", help="threads (default: one a core)")
    coco.add_argument("--copy", action="store_true", help="copy the pictures (default: hard links)")
    coco.set_defaults(run=_prepare_coco)


def _prepare_sa1b(chosen: argparse.Namespace) -> None:
    from edge_sam.data.prepare import prepare_sa1b

    report = prepare_sa1b(
        chosen.source,
        chosen.data_path,
        chosen.split,
        chosen.subset,
        workers=chosen.workers,
        keep_tars=chosen.keep_tars,
    )
    print(report.describe())


def _prepare_coco(chosen: argparse.Namespace) -> None:
    from edge_sam.data.prepare_coco import prepare_coco

    report = prepare_coco(
        chosen.annotations,
        chosen.images,
        chosen.data_path,
        chosen.split,
        copy=chosen.copy,
        workers=chosen.workers,
    )
    print(report.describe())


def _add_download(commands: "Commands[argparse.ArgumentParser]") -> None:
    from edge_sam.modeling.official_files import OFFICIAL_FILES

    download = commands.add_parser("download", help="fetch official weights; resumes, checks", allow_abbrev=False)
    download.add_argument("name", choices=tuple(OFFICIAL_FILES))
    download.add_argument("--folder", type=Path, default=Path("weights"), help="default: %(default)s")
    download.add_argument("--base-url", metavar="URL", help="take the file from this mirror")
    download.set_defaults(run=_download)


def _download(chosen: argparse.Namespace) -> None:
    from edge_sam.data.download import download_checkpoint
    from edge_sam.modeling.official_files import OFFICIAL_FILES
    from edge_sam.progress import show_download

    file = OFFICIAL_FILES[chosen.name]
    with show_download(file.file_name) as progress:
        path = download_checkpoint(
            file.name, file.file_name, file.url, file.sha256_prefix, chosen.folder, chosen.base_url, progress
        )
    print(path)


def _add_synth(commands: "Commands[argparse.ArgumentParser]") -> None:
    synth = commands.add_parser("synth", help="draw pictures with exact masks; resumes", allow_abbrev=False)
    synth.add_argument("--images", type=int, required=True, metavar="N", help="how many")
    synth.add_argument("--seed", type=int, required=True, metavar="S", help="the same seed gives the same pictures")
    synth.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets images/ and annotations/")
    synth.add_argument("--size", type=int, default=512, help="longer side in pixels, default: %(default)s")
    synth.add_argument("--split", choices=("train", "val"), default="train", help="default: %(default)s")
    synth.add_argument("--workers", type=int, default=2, metavar="N", help="processes, default: %(default)s")
    synth.set_defaults(run=_synth)


def _synth(chosen: argparse.Namespace) -> None:
    from edge_sam.synthesis.data_set import write_data_set

    write_data_set(chosen.out, chosen.images, chosen.seed, chosen.size, chosen.split, chosen.workers)


def _add_demo(commands: "Commands[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser(
        "demo", help="the whole guide in ten minutes, and a page about what came out; resumes", allow_abbrev=False
    )
    demo.add_argument("--data", type=Path, metavar="DIR", help="your images in SA-1B layout (default: drawn ones)")
    demo.add_argument(
        "--teacher", type=Path, metavar="FILE", help="a file of scripts/convert_weights.py (default: the lab teacher)"
    )
    demo.add_argument("--output", type=Path, metavar="DIR", help="default: demo_output, with --quick demo_output/quick")
    demo.add_argument("--quick", action="store_true", help="two minutes: shows that it works, not what it is worth")
    demo.set_defaults(run=_demo)


def _demo(chosen: argparse.Namespace) -> None:
    from edge_sam.demo.plan import FULL, QUICK
    from edge_sam.demo.tour import LAB_TEACHER, run_tour

    output = Path("demo_output/quick") if chosen.quick else Path("demo_output")
    run_tour(chosen.data, chosen.teacher or LAB_TEACHER, chosen.output or output, QUICK if chosen.quick else FULL)
