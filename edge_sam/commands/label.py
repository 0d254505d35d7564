"""``edgesam label``: a folder of photographs becomes a data set with automatic masks."""

import argparse
from dataclasses import asdict
from pathlib import Path

from edge_sam.commands.options import add_generator_options, add_model_options, generator_settings, load_model

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_label(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    label = commands.add_parser(
        "label", help="a folder of photographs laid out as SA-1B is, with automatic masks; resumes", allow_abbrev=False
    )
    label.add_argument("source", type=Path, metavar="DIR", help="folder of photographs (.jpg, .jpeg, .png)")
    add_model_options(label)
    add_generator_options(label)
    label.add_argument("--split", choices=("train", "val"), default="train", help="default: %(default)s")
    label.add_argument("--data-path", type=Path, required=True, metavar="DIR", help="the folder to fill")
    label.add_argument("--copy", action="store_true", help="copy the photographs (default: hard links)")
    label.set_defaults(run=_label)


def _label(chosen: argparse.Namespace) -> None:
    from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
    from edge_sam.inference.labelling import label_photographs
    from edge_sam.modeling.checkpoints import file_sha256
    from edge_sam.modeling.loading import network_of
    from edge_sam.modeling.pretrained import WEIGHTS_NAME

    settings = generator_settings(chosen)
    sam = load_model(chosen)
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **settings)
    weights = chosen.checkpoint / WEIGHTS_NAME if chosen.checkpoint.is_dir() else chosen.checkpoint
    made_by = {"checkpoint_sha256": file_sha256(weights), "network": asdict(network_of(sam)), "settings": settings}
    report = label_photographs(generator, made_by, chosen.source, chosen.data_path, chosen.split, copy=chosen.copy)
    print(report.describe())
