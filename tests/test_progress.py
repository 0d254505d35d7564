import io
import sys

import pytest

from edge_sam import progress
from edge_sam.progress import show_download, show_progress


def test_plain_lines_in_a_log(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with show_progress("embed", 40) as advance:
        for seconds in (4, 8, 12, 16):
            now[0] = seconds
            advance(10)
    assert capsys.readouterr().out.splitlines() == [
        "embed: 30/40, 2.5 images/s, 0:00:04 left",
        "embed: 40/40, 2.5 images/s, 0:00:00 left",
    ]


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress("embed", 4, unit="rows") as advance:
        advance(1.5)
        advance(2.5)
    assert "4/4" in terminal.getvalue().replace(".0", "") and "rows/s" in terminal.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_other_processes_are_silent(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    with show_progress("embed", 1, shown=False) as advance:
        advance(1)
    assert capsys.readouterr().out == ""


def test_a_download_in_a_log(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with show_download("sam_vit_b.pth") as told:
        for seconds, have, whole in ((4, 1_000_000, 8_000_000), (11, 5_000_000, None), (12, 8_000_000, 8_000_000)):
            now[0] = seconds
            told(have, whole)
    assert capsys.readouterr().out.splitlines() == ["sam_vit_b.pth: 5 MB", "sam_vit_b.pth: 8 of 8 MB"]
