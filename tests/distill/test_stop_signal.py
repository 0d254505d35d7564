import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from edge_sam.distill.stop_signal import on_stop_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_while_the_body_runs(interruptible, number):
    before = signal.getsignal(number)
    with on_stop_signals() as stop:
        assert not stop.agreed(torch.device("cpu"))
        os.kill(os.getpid(), number)
        assert stop.agreed(torch.device("cpu")) and stop.number == number
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == number
    assert signal.getsignal(number) == before


def test_ctrl_c_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with on_stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.agreed(torch.device("cpu"))
    finally:
        signal.signal(signal.SIGINT, before)


RUN_WITH_WORKERS = """
import sys, time
import torch
from pathlib import Path
from torch.utils.data import DataLoader
from edge_sam.arguments import run_command
from edge_sam.distill.stop_signal import ignore_stop_signals, on_stop_signals

@run_command
def main():
    with on_stop_signals() as stop:
        batches = iter(DataLoader(range(10000), num_workers=2, worker_init_fn=ignore_stop_signals))
        next(batches), next(batches)  # one of each worker
        while not stop.agreed(torch.device("cpu")):
            Path("ready").touch()
            time.sleep(0.1)
        Path("asked").touch()
        for _ in range(int(sys.argv[1])):  # the rest of a step needs its workers
            next(batches)
            time.sleep(0.1)
        Path("saved").touch()

if __name__ == "__main__":
    main()
"""


def start_with_workers(folder, batches_after_the_wish):
    """Start it as a terminal would, its workers in a process group of its own."""
    (folder / "run.py").write_text(RUN_WITH_WORKERS)
    return subprocess.Popen(
        [sys.executable, "run.py", str(batches_after_the_wish)],
        cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def signal_group(process, number, file):
    """Send a signal to all of a group as soon as a file is there."""
    while not file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, number)


SAID = "Ctrl-C: saving and leaving after this step; once more to leave at once, without saving"


@pytest.mark.parametrize(("number", "message"), [(signal.SIGTERM, ""), (signal.SIGINT, SAID)])
def test_at_the_first_signal_run_and_workers_end_their_step(interruptible, tmp_path, number, message):
    process = start_with_workers(tmp_path, 10)
    signal_group(process, number, tmp_path / "ready")
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0 and (tmp_path / "saved").exists()
    assert said.strip() == message


def test_at_the_second_ctrl_c_all_end_at_once(interruptible, tmp_path):
    process = start_with_workers(tmp_path, 1000)
    signal_group(process, signal.SIGINT, tmp_path / "ready")
    signal_group(process, signal.SIGINT, tmp_path / "asked")
    _, said = process.communicate(timeout=50)
    assert process.returncode == 130 and not (tmp_path / "saved").exists()
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


FAILING_RUN = """
from torch.utils.data import DataLoader
from edge_sam.distill.stop_signal import ignore_stop_signals, on_stop_signals

if __name__ == "__main__":
    loader = DataLoader(
        range(4), batch_size=2, num_workers=1, persistent_workers=True, worker_init_fn=ignore_stop_signals
    )
    with on_stop_signals():
        for batch in loader:
            raise RuntimeError("out of memory")
"""


def test_a_run_that_fails_ends_with_its_workers(tmp_path):
    script = tmp_path / "failing_run.py"
    script.write_text(FAILING_RUN)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("RuntimeError: out of memory")
