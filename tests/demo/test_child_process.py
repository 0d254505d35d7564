import json
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from edge_sam.demo.child_process import run_child
from edge_sam.demo.journal import Journal

SAVES_ON_SIGTERM = """
import signal, sys, time
from pathlib import Path

def save(number, frame):
    time.sleep(0.2)
    Path("saved").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
Path("ready").touch()
time.sleep(60)
"""


def send_when_there(file, number):
    """Send this process a signal as soon as the child has made a file."""

    def send():
        while not file.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


@contextmanager
def handled_by(number, handler):
    """Handle a signal as a process does that was not started with it ignored, as under nohup or in the background."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_child_works_in_the_folder_and_tells_its_status(tmp_path):
    assert run_child([sys.executable, "-c", "open('here', 'w')"], tmp_path) == 0
    assert (tmp_path / "here").exists()
    assert run_child([sys.executable, "-c", "raise SystemExit(7)"], tmp_path) == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_child_save_and_leaves_a_line_in_the_journal(tmp_path, number):
    journal = Journal(tmp_path / "steps.jsonl")
    with handled_by(number, signal.SIG_DFL):
        send_when_there(tmp_path / "ready", number)
        with pytest.raises(SystemExit) as ended, journal.timed("phase 1", "train"):
            run_child([sys.executable, "-c", SAVES_ON_SIGTERM], tmp_path)
        assert signal.getsignal(number) == signal.SIG_DFL
    assert ended.value.code == 128 + number
    assert (tmp_path / "saved").exists()
    entry = json.loads((tmp_path / "steps.jsonl").read_text())
    assert entry["finished"] is False and entry["seconds"] > 0


def test_ctrl_c_lets_the_child_save(tmp_path):
    with handled_by(signal.SIGINT, signal.default_int_handler):
        send_when_there(tmp_path / "ready", signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run_child([sys.executable, "-c", SAVES_ON_SIGTERM], tmp_path)
    assert (tmp_path / "saved").exists()


def test_a_second_ctrl_c_kills_a_child_that_takes_its_time(tmp_path):
    patient = SAVES_ON_SIGTERM.replace("time.sleep(0.2)", 'Path("saving").touch(); time.sleep(3)')
    with handled_by(signal.SIGINT, signal.default_int_handler):
        send_when_there(tmp_path / "ready", signal.SIGINT)
        send_when_there(tmp_path / "saving", signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run_child([sys.executable, "-c", patient], tmp_path)
    time.sleep(4)  # longer than the child would have taken
    assert not (tmp_path / "saved").exists()


def test_what_is_ignored_stays_ignored(tmp_path):
    with handled_by(signal.SIGHUP, signal.SIG_IGN):
        run = "import os, signal; os.kill(os.getppid(), signal.SIGHUP)"
        assert run_child([sys.executable, "-c", run], tmp_path) == 0
