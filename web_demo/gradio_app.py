"""A page of Gradio's: clicks in the browser, masks from this machine. Needs `pip install 'edge-sam[web-demo]'`.

For a page that computes in the browser see `edgesam web`.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from edge_sam.arguments import run_command
from edge_sam.commands.export import export_stem
from edge_sam.commands.options import add_model_options, load_model
from edge_sam.errors import EdgeSamError


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add_model_options(parser)
    parser.add_argument("--server-name", default="127.0.0.1", metavar="HOST", help="default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--enable-onnx", action="store_true",
        help="ONNX Runtime in PyTorch's place, with what `edgesam export CHECKPOINT --to onnx` wrote beside it",
    )  # fmt: skip
    chosen = parser.parse_args(arguments)
    try:
        from edge_sam.web.gradio_page import launch, make_page
    except ImportError as error:
        raise EdgeSamError(f"the page needs a package: pip install 'edge-sam[web-demo]' ({error})") from error
    from edge_sam.web.click_session import SharedPredictor

    page = make_page(SharedPredictor(load_predictor(chosen)))
    launch(page, chosen.server_name, chosen.port)


def load_predictor(chosen: argparse.Namespace) -> Any:  # noqa: ANN401 - of PyTorch or of ONNX Runtime
    """Return the predictor that the options ask for.

    Raises:
        EdgeSamError: no such file, or one that holds no such model; options of the network for exported files.
    """
    if chosen.enable_onnx:
        from edge_sam.runtime.onnx_graphs import OnnxSamPredictor

        if any(option is not None for option in (chosen.model_type, chosen.image_size, chosen.upsample_mode)):
            raise EdgeSamError("exported files say which network they hold: leave its options out with --enable-onnx")
        stem = export_stem(chosen.checkpoint)
        encoder, decoder = (stem.with_name(f"{stem.name}_{part}.onnx") for part in ("encoder", "decoder"))
        return OnnxSamPredictor(encoder, decoder)
    from edge_sam.inference.predictor import SamPredictor

    return SamPredictor(load_model(chosen))


if __name__ == "__main__":
    main()
