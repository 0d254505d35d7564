import os
import signal
import subprocess
import sys

import torch

from edge_sam.distill.stop_signal import ignore_sigterm, on_sigterm


def test_sigterm_is_a_wish_while_the_body_runs():
    before = signal.getsignal(signal.SIGTERM)
    with on_sigterm() as stop:
        assert not stop.agreed(torch.device("cpu"))
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.agreed(torch.device("cpu"))
    assert signal.getsignal(signal.SIGTERM) == before


def test_workers_outlive_it():
    before = signal.getsignal(signal.SIGTERM)
    try:
        ignore_sigterm(0)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


FAILING_RUN = """
from torch.utils.data import DataLoader
from edge_sam.distill.stop_signal import ignore_sigterm, on_sigterm

if __name__ == "__main__":
    loader = DataLoader(
        range(4), batch_size=2, num_workers=1, persistent_workers=True, worker_init_fn=ignore_sigterm
    )
    with on_sigterm():
        for batch in loader:
            raise RuntimeError("out of memory")
"""


def test_a_run_that_fails_ends_with_its_workers(tmp_path):
    script = tmp_path / "failing_run.py"
    script.write_text(FAILING_RUN)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("RuntimeError: out of memory")
