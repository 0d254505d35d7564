"""Run every measurement, or those named, and print one Markdown table: ``python -m benchmarks [NAME ...]``."""

import argparse
import os
import platform
from collections.abc import Callable, Iterable

import torch

from benchmarks import (
    average_precision,
    embedding_store,
    evaluating,
    everything,
    inference,
    loading,
    synthesis,
    training_steps,
)
from benchmarks.measurement import HEADER, Measurement

MEASURES: dict[str, Callable[[], Iterable[Measurement]]] = {
    "loading": loading.measure,
    "synthesis": synthesis.measure,
    "embedding_store": embedding_store.measure,
    "training_steps": training_steps.measure,
    "evaluating": evaluating.measure,
    "average_precision": average_precision.measure,
    "inference": inference.measure,
    "everything": everything.measure,
}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}; default: all")
    names = parser.parse_args().names or list(MEASURES)
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    print(f"{_machine()}, PyTorch {torch.__version__}\n\n{HEADER}", flush=True)
    for name in names:
        for measurement in MEASURES[name]():
            print(measurement.row(), flush=True)


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
