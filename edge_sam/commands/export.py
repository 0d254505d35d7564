"""``edgesam export``: a model in other formats, with the proof beside each; and the two scripts of single graphs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_sam.arguments import run_command
from edge_sam.commands.options import add_network_options, load_network

if TYPE_CHECKING:
    from edge_sam.export.run import Part, Picture

Commands = argparse._SubParsersAction  # argparse has no public name for it

_TARGETS = ("onnx", "openvino", "coreml", "litert", "torchscript", "torch.export")


def add_export(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    export = commands.add_parser(
        "export",
        help="ONNX, OpenVINO, Core ML, ...: encoder, decoder and a comparison with PyTorch",
        allow_abbrev=False,
    )
    export.add_argument("--to", choices=_TARGETS, required=True, dest="target", metavar="|".join(_TARGETS))
    export.add_argument("--part", choices=("encoder", "decoder"), help="this graph alone (default: both)")
    _add_options(export)
    export.add_argument(
        "--num-multimask-outputs", type=int, choices=(1, 3, 4), default=4,
        help="masks a prompt: the single one, three candidates, or both; default: %(default)s",
    )  # fmt: skip
    export.add_argument("--preprocess", action="store_true", help="the encoder takes a picture of any size, uint8")
    export.add_argument("--postprocess", action="store_true", help="the decoder gives masks of the picture's size")
    export.set_defaults(run=_export)


@run_command
def export_one_graph(target: Literal["onnx", "coreml"], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line of ``scripts/export_*_model.py`` and export one graph: the encoder, or the decoder."""
    parser = argparse.ArgumentParser(
        description=f"The image encoder, or with --decoder the decoder, for {target}; `edgesam export` can do more.",
        allow_abbrev=False,
    )
    parser.add_argument("--decoder", action="store_const", const="decoder", default="encoder", dest="part")
    _add_options(parser)
    parser.set_defaults(target=target, num_multimask_outputs=4, preprocess=False, postprocess=False)
    _export(parser.parse_args(arguments))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a whole model, or a folder of save_pretrained")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: beside the checkpoint")
    parser.add_argument("--use-stability-score", action="store_true", help="score by stability, not by predicted IoU")
    parser.add_argument("--gelu-approximate", action="store_true", help="GELU by its tanh formula")
    add_comparison_options(parser)
    add_network_options(parser)


def add_comparison_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`comparison_pictures` reads, the precision and the gate."""
    parser.add_argument(
        "--images", type=Path, metavar="DIR",
        help="photographs to compare and to calibrate on, best your own (default: drawn pictures)",
    )  # fmt: skip
    parser.add_argument("--num-images", type=int, default=8, metavar="N", help="of them, default: %(default)s")
    parser.add_argument("--quantize", choices=("int8", "fp16"), help="int8 calibrates convolutions on the pictures")
    parser.add_argument(
        "--num-calibration-images", type=int, default=32, metavar="N",
        help="others of --images, for int8, default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--max-miou-loss", type=float, default=1.0, metavar="POINTS",
        help="the export fails when its masks are further from PyTorch's, default: %(default)s",
    )  # fmt: skip


def _export(chosen: argparse.Namespace) -> None:
    from edge_sam.export.run import ExportRequest, describe, export
    from edge_sam.runtime.graphs import GraphDescription

    sam = load_network(chosen)
    parts: tuple[Part, ...] = (chosen.part,) if chosen.part else ("encoder", "decoder")
    pictures, calibration = comparison_pictures(chosen, max(256, sam.image_size // 2), "encoder" in parts)
    description = GraphDescription(
        sam.image_size,
        chosen.preprocess,
        chosen.postprocess,
        chosen.num_multimask_outputs,
        chosen.use_stability_score,
        chosen.gelu_approximate,
    )
    request = ExportRequest(
        chosen.target,
        export_stem(chosen.checkpoint, chosen.out),
        description,
        parts,
        chosen.quantize,
        chosen.max_miou_loss,
        chosen.images,
    )
    print(describe(export(sam, request, pictures, calibration)))


def export_stem(checkpoint: Path, folder: Path | None = None) -> Path:
    """Return what the paths of exported files begin with: in a folder, by default beside the checkpoint.

    Beside: for a folder of ``save_pretrained``, in it; for a link, as in caches, beside the link.
    """
    if checkpoint.is_dir():
        checkpoint = checkpoint.resolve()
        return (folder or checkpoint) / checkpoint.name
    checkpoint = checkpoint.absolute()
    return (folder or checkpoint.parent) / checkpoint.stem


def comparison_pictures(
    chosen: argparse.Namespace, drawn_size: int, with_encoder: bool = True
) -> tuple[list["Picture"], list["Picture"]]:
    """Return what to compare on, and what else to calibrate on.

    Args:
        chosen: options of :func:`add_comparison_options`.
        drawn_size: longer side of pictures that are drawn where no folder is given.
        with_encoder: whether an encoder is exported: a decoder alone is not calibrated.

    Raises:
        EdgeSamError: no such folder, or too few pictures in it that can be read.
    """
    from edge_sam.errors import EdgeSamError
    from edge_sam.export.pictures import draw_pictures, read_pictures

    if chosen.num_images < 1 or chosen.num_calibration_images < 1:
        raise EdgeSamError("--num-images and --num-calibration-images are 1 or more")
    others = chosen.num_calibration_images if chosen.quantize == "int8" and with_encoder else 0
    if chosen.images is None:
        pictures = draw_pictures(chosen.num_images + others, drawn_size)
    else:
        pictures = read_pictures(chosen.images, chosen.num_images + others)
    compared = min(chosen.num_images, max(1, len(pictures) // 2)) if others else len(pictures)
    if others and compared == len(pictures):
        raise EdgeSamError(f"{chosen.images}: one picture; int8 needs two at least, to calibrate and to compare")
    step = len(pictures) // compared  # both spread over all
    first = set(range(0, compared * step, step))
    return [pictures[i] for i in sorted(first)], [pictures[i] for i in range(len(pictures)) if i not in first]
