"""Drawing procedural pictures of 512 px on one core, files included."""

import tempfile
from pathlib import Path

from benchmarks.measurement import Measurement, median_seconds
from edge_sam.synthesis.data_set import write_data_set
from edge_sam.synthesis.scene import draw_scene

PICTURES = 30
SIZE = 512


def measure() -> list[Measurement]:
    """Measure the whole of ``edgesam synth`` with one process, and drawing alone."""
    draw_scene(0, 0, SIZE)  # the fields are made once a process

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_data_set(Path(folder), PICTURES, seed=0, size=SIZE)

    whole = PICTURES / median_seconds(write, repeats=3, warm_up=0)
    drawing = PICTURES / median_seconds(
        lambda: [draw_scene(0, index, SIZE) for index in range(PICTURES)], repeats=3, warm_up=0
    )
    return [Measurement(f"draw a picture and its masks, {SIZE} px", whole, "images/s", "drawing alone", drawing)]
