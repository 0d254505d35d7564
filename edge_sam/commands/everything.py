"""``edgesam everything``: all masks of a picture, or of each picture in a folder."""

import argparse
from pathlib import Path

from edge_sam.commands.options import add_generator_options, add_model_options, generator_settings, load_model

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_everything(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    everything = commands.add_parser(
        "everything", help="all masks of a picture or of a folder of them: COCO JSON, overlays", allow_abbrev=False
    )
    everything.add_argument("source", type=Path, metavar="IMAGE|DIR", help="a picture, or a folder of them")
    add_model_options(everything)
    add_generator_options(everything)
    everything.add_argument("--out", type=Path, default=Path("everything"), metavar="DIR", help="default: %(default)s")
    everything.set_defaults(run=_everything)


def _everything(chosen: argparse.Namespace) -> None:
    from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
    from edge_sam.inference.everything import find_everything
    from edge_sam.inputs.pictures import list_pictures

    pictures = list_pictures(chosen.source)
    generator = SamAutomaticMaskGenerator(load_model(chosen), **generator_settings(chosen))
    report = find_everything(generator, pictures, chosen.out)
    for line in report.describe():
        print(line)
