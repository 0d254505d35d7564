"""What a picture and its prompts cost: the encoder in several forms, the decoder by number of prompts.

python -m benchmarks.inference [--checkpoint FILE] [--image-size 1024] [--repeats 3]
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measurement import HEADER, Measurement, median_seconds
from edge_sam.arguments import run_command
from edge_sam.modeling.folding import folded
from edge_sam.modeling.loading import load_sam
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import Sam

PROMPTS = (1, 16, 64)


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        checkpoint: a whole model; None for random weights, which cost the same time.
        image_size: of a model of random weights, in pixels.
        repeats: of each, of which the median counts.
        prompts: numbers of prompts decoded together.
    """

    checkpoint: Path | None = None
    image_size: int = 1024
    repeats: int = 3
    prompts: Sequence[int] = PROMPTS

    def build(self) -> Sam:
        """Return the model, in eval mode, on the CPU."""
        if self.checkpoint is not None:
            return load_sam(self.checkpoint)
        torch.manual_seed(0)
        return build_sam("rep_vit_m1", self.image_size).eval()


def measure(sizes: Sizes | None = None) -> Iterator[Measurement]:
    """Measure the encoder and the decoder, each beside its plain form."""
    sizes = sizes or Sizes()
    sam = sizes.build()
    with torch.no_grad():
        yield from _encoder(sam, sizes.repeats)
        for number in sizes.prompts:
            yield from _decoder(sam, number, sizes.repeats)


def _encoder(sam: Sam, repeats: int) -> Iterator[Measurement]:
    """Time one picture in the unfolded encoder, which is the baseline of all others, and in the others."""
    images = torch.randn(1, 3, sam.image_size, sam.image_size, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        lean = folded(sam.image_encoder)
        forms = {"folded": _torch_encoder(lean, images)}
        forms["folded, channels last"] = _torch_encoder(deepcopy(lean).to(memory_format=torch.channels_last), images)
        forms |= _onnx_encoders(sam, Path(folder))
        baseline = 1000 * median_seconds(_torch_encoder(sam.image_encoder, images), repeats)
        for name, form in forms.items():
            what = f"encode a picture, {name}, {sam.image_size} px"
            yield Measurement(what, 1000 * median_seconds(form, repeats), "ms", "unfolded, eager", baseline)
        product = 1000 * median_seconds(_one_product(lean, images), repeats)
        what = f"one matrix product of as many multiplications, {sam.image_size} px"
        yield Measurement(what, product, "ms", "unfolded, eager", baseline)


def _torch_encoder(encoder: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    return lambda: encoder(images)


def _one_product(encoder: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    """Return a matrix product of as many multiplications as an encoder's: what the machine cannot be much faster at."""
    with FlopCounterMode(display=False) as counter:
        encoder(images)
    side = 1024
    rows = torch.randn(max(1, counter.get_total_flops() // (2 * side * side)), side)
    columns = torch.randn(side, side)
    return lambda: rows @ columns


def _onnx_encoders(sam: Sam, folder: Path) -> dict[str, Callable[[], object]]:
    """Return ONNX Runtime's forms with as many threads as torch has; none where its packages are not installed."""
    try:
        from edge_sam.export import onnx, quantization
        from edge_sam.export.pictures import draw_pictures
        from edge_sam.runtime.onnx_graphs import OnnxGraph
    except ImportError:
        return {}
    from edge_sam.export.graphs import encoder_graph
    from edge_sam.export.precision import FLOAT32
    from edge_sam.runtime.graphs import GraphDescription
    from edge_sam.runtime.pictures import normalised_square

    samples = [{"images": normalised_square(picture, sam.image_size)} for picture in draw_pictures(2, 256)]
    files = {name: folder / f"{name}.onnx" for name in ("float", "int8")}
    onnx.write(encoder_graph(sam, GraphDescription(sam.image_size)), files["float"], FLOAT32)
    quantization.quantize_encoder(files["float"], files["int8"], samples)
    graphs = {name: OnnxGraph(file, threads=torch.get_num_threads()) for name, file in files.items()}
    return {f"ONNX Runtime {name}": _onnx_encoder(graph, samples[0]) for name, graph in graphs.items()}


def _onnx_encoder(graph: Callable[..., object], sample: Mapping[str, Any]) -> Callable[[], object]:
    return lambda: graph(sample)


def _decoder(sam: Sam, number: int, repeats: int) -> Iterator[Measurement]:
    """Time points of one picture, three masks each, against the image repeated for each of them."""
    generator = torch.Generator().manual_seed(0)
    side = sam.image_size // 16
    embedding = torch.randn(1, 256, side, side, generator=generator)
    points = torch.rand(number, 1, 2, generator=generator) * sam.image_size
    sparse, dense = sam.prompt_encoder((points, torch.ones(number, 1, dtype=torch.int64)), None, None)
    pe = sam.prompt_encoder.get_dense_pe()

    def naive() -> None:
        sam.mask_decoder(embedding.repeat_interleave(number, dim=0), pe, sparse, dense, 3)

    def plain() -> None:
        sam.mask_decoder(embedding, pe, sparse, dense[:1], 3)

    def shared() -> None:
        sam.mask_decoder.for_one_image(embedding, pe, dense[:1])(sparse, 3)

    def prepared(decode: Callable[..., object]) -> Callable[[], object]:
        return lambda: decode(sparse, 3)

    decode = sam.mask_decoder.for_one_image(embedding, pe, dense[:1])
    each = 1000 / number
    baseline = each * median_seconds(naive, repeats)
    forms: dict[str, Callable[[], object]] = {
        "one embedding for all": plain,
        "for_one_image": shared,
        "for_one_image, prepared before": prepared(decode),
    }
    for name, form in forms.items():
        what = f"decode {number} point{'s' if number > 1 else ''}, {name}, {sam.image_size} px"
        value = each * median_seconds(form, repeats)
        yield Measurement(what, value, "ms/prompt", "image embedding repeated per prompt", baseline)


@run_command
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a whole model; default: random weights")
    parser.add_argument("--image-size", type=int, default=1024, help="of random weights; default %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="default %(default)s")
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS, help="default 1 16 64")
    sizes = Sizes(**vars(parser.parse_args(arguments)))
    print(HEADER, flush=True)
    for measurement in measure(sizes):
        print(measurement.row(), flush=True)


if __name__ == "__main__":
    main()
