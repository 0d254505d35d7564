"""What only OpenVINO needs; that its graphs answer as PyTorch does is in test_run.py."""

import subprocess
import sys

import pytest

openvino = pytest.importorskip("openvino")

SCRIPT = """
import faulthandler, gc, signal, sys
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13

from edge_sam.export.openvino import core, read
from edge_sam.runtime.graphs import GraphDescription

faulthandler.enable()  # as in tests: handlers run on a stack of their own, which OpenVINO changes
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
given = opset13.parameter([1, 3], np.float32)
openvino.save_model(openvino.Model([opset13.relu(given)], [given]), sys.argv[1])
graphs = [read(Path(sys.argv[1]), GraphDescription(64)) for _ in range(2)]
while graphs:
    graphs.pop(0)
    gc.collect()
signal.raise_signal(signal.SIGALRM)
"""


def test_signals_reach_a_process_that_has_let_go_of_its_graphs(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "graph.xml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "alarm\n"), done.stderr
