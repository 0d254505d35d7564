"""Options that several commands share: which model, where it runs, and how all masks of a picture are looked for."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_sam.modeling.sam import Sam

_GENERATOR: dict[str, tuple[float, str]] = {
    "points_per_side": (32, "points of the grid, along each side"),
    "points_per_batch": (64, "points decoded at once"),
    "pred_iou_thresh": (0.88, "masks stay whose predicted IoU is above"),
    "stability_score_thresh": (0.95, "masks stay whose stability score is at least"),
    "box_nms_thresh": (0.7, "masks whose boxes have a higher IoU are one"),
    "crop_n_layers": (0, "layers of crops that are looked at, too: 4 crops, 16, ...; at most 6"),
    "min_mask_region_area": (0, "islands and holes of fewer pixels are removed"),
}
"""The defaults of ``SamAutomaticMaskGenerator``, which is not imported before it is used."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`load_model` reads."""
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE",
        help="a whole model: official, converted or of phase 2; or a folder of save_pretrained",
    )  # fmt: skip
    add_network_options(parser)
    parser.add_argument("--only-cpu", action="store_true", help="use no GPU even where there is one")


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which network a file holds."""
    network = parser.add_argument_group("where the file does not tell (default: recognised, at the official size)")
    network.add_argument("--model-type", metavar="TYPE", help="rep_vit_m1, rep_vit_m2, rep_vit_m3, vit_t, vit_b, ...")
    network.add_argument("--image-size", type=int, metavar="N", help="side of the network's square input, in pixels")
    network.add_argument("--upsample-mode", choices=("bicubic", "bilinear"), help="of EdgeSAM's encoder")


def load_model(chosen: argparse.Namespace) -> "Sam":
    """Load the chosen model onto the device that it shall run on.

    Raises:
        EdgeSamError: no such file, or one that holds no such model.
    """
    import torch

    return load_network(chosen).to("cuda" if torch.cuda.is_available() and not chosen.only_cpu else "cpu")


def load_network(chosen: argparse.Namespace) -> "Sam":
    """Load the chosen model, on the CPU.

    Raises:
        EdgeSamError: no such file, or one that holds no such model.
    """
    from edge_sam.errors import EdgeSamError
    from edge_sam.modeling.loading import load_sam
    from edge_sam.modeling.sam import Sam

    options = (chosen.model_type, chosen.image_size, chosen.upsample_mode)
    if chosen.checkpoint.is_dir():
        if any(option is not None for option in options):
            raise EdgeSamError(f"{chosen.checkpoint}: its config.json says which network it is; leave the options out")
        return Sam.from_pretrained(chosen.checkpoint)
    return load_sam(chosen.checkpoint, *options)


def add_generator_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`generator_settings` reads."""
    group = parser.add_argument_group("which masks")
    for name, (default, text) in _GENERATOR.items():
        flag = f"--{name.replace('_', '-')}"
        group.add_argument(flag, type=type(default), default=default, metavar="N", help=f"{text}, default: %(default)s")
    group.add_argument("--spare-points", action="store_true", help="ask and make less where masks were found: faster")


def generator_settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the chosen settings of ``SamAutomaticMaskGenerator`` by name."""
    return {name: getattr(chosen, name) for name in (*_GENERATOR, "spare_points")}
