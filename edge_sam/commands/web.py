"""``edgesam web``: a page that segments photographs in the browser."""

import argparse
import shlex
from pathlib import Path

from edge_sam.commands.export import add_comparison_options, comparison_pictures, export_stem
from edge_sam.commands.options import add_network_options, load_network

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_web(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    web = commands.add_parser(
        "web", help="a page that segments photographs in the browser; a folder for any server", allow_abbrev=False
    )
    web.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE",
        help="a whole model: official, converted or of phase 2; or a folder of save_pretrained",
    )  # fmt: skip
    web.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new, empty, or an earlier page")
    web.add_argument("--name", metavar="TEXT", help="of the model, shown in the page (default: the file's)")
    web.add_argument(
        "--onnxruntime-web", type=Path, metavar="FOLDER_OR_TGZ",
        help="that package of npm, where npm cannot fetch it (default: fetched once and kept)",
    )  # fmt: skip
    add_comparison_options(web)
    add_network_options(web)
    web.set_defaults(run=_web)


def _web(chosen: argparse.Namespace) -> None:
    from edge_sam.export.run import describe
    from edge_sam.web.build import PageRequest, build_page

    sam = load_network(chosen)
    pictures, calibration = comparison_pictures(chosen, max(256, sam.image_size // 2))
    request = PageRequest(
        chosen.out,
        chosen.name or export_stem(chosen.checkpoint).name,
        chosen.quantize,
        chosen.max_miou_loss,
        chosen.onnxruntime_web,
        chosen.images,
    )
    report = build_page(sam, request, pictures, calibration)
    size = sum(path.stat().st_size for path in chosen.out.rglob("*") if path.is_file())
    print(describe(report))
    print(f"{chosen.out}: {size / 2**20:.0f} MiB")
    folder = shlex.quote(str(chosen.out))
    print(f"look at it: python -m http.server --bind 127.0.0.1 --directory {folder} 8000, http://127.0.0.1:8000")
