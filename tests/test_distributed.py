import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from edge_sam.distributed import agree_on_errors, already_reported, barrier, gather_objects, process_group
from edge_sam.errors import EdgeSamError

LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--master_port", "29521"],
    "launch": ["torch.distributed.launch", "--master_port", "29522"],
}

PROGRAM = """
import os, sys, time, torch
import torch.distributed as dist
from edge_sam.arguments import run_command
from edge_sam.distributed import agree_on_errors, barrier, gather_objects, process_group
from edge_sam.errors import EdgeSamError

@run_command
def main():
    {before}
    with process_group(only_cpu=True) as world:
        {body}

main()
"""

RANKS = """
        barrier()
        ranks = gather_objects((world.rank, world.size, str(world.device)))
        total = torch.tensor([world.rank + 1.0]); dist.all_reduce(total)
        sys.stdout.write(f"said {world.is_main} {ranks} {total.item()} {sys.argv[1:]}\\n")
"""
ALONE_AND_OTHERS_WAIT = """
        if world.rank == 1:
            raise EdgeSamError("only one knows")
        barrier()
"""
ALL_ALIKE = """
        raise EdgeSamError("all know")
"""
ALIKE_BEFORE_THE_GROUP = """
    time.sleep(0 if os.environ["LOCAL_RANK"] == "1" else 5)  # one that has nothing to print must not be the first to go
    raise EdgeSamError("all know early")
"""
AGREED = """
        with agree_on_errors():
            if world.rank == 1:
                raise EdgeSamError("one tells all")
        print("not reached", flush=True)
"""


def launch(folder: Path, launcher: str, body: str, *options: str, before: str = "") -> subprocess.Popen:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(body=body.strip(), before=before.strip()))
    arguments = [sys.executable, "-m", *LAUNCHERS[launcher], *(options or ("--nproc_per_node", "2"))]
    return subprocess.Popen(
        [*arguments, str(program)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_find_each_other(tmp_path, launcher):
    process = launch(tmp_path, launcher, RANKS)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    lines = sorted(line for line in out.splitlines() if line.startswith("said"))
    assert len(lines) == 2
    for line, is_main, rank in zip(lines, ("False", "True"), (1, 0), strict=True):
        assert line.startswith(f"said {is_main} [(0, 2, 'cpu'), (1, 2, 'cpu')] 3.0")
        assert line.endswith(f"['--local-rank={rank}']" if launcher == "launch" else "[]")


@pytest.mark.slow
def test_two_nodes_find_each_other(tmp_path):
    nodes = []
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
        options = ["--nnodes", "2", "--node_rank", str(rank), "--nproc_per_node", "1", "--master_addr", "127.0.0.1"]
        nodes.append(launch(tmp_path / str(rank), "torchrun", RANKS, *options))
    answers = [node.communicate(timeout=200) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], answers
    assert all("[(0, 2, 'cpu'), (1, 2, 'cpu')] 3.0" in out for out, _ in answers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "message"),
    [(ALONE_AND_OTHERS_WAIT, "only one knows"), (ALL_ALIKE, "all know"), (AGREED, "one tells all")],
    ids=["alone", "alike", "agreed"],
)
def test_an_error_ends_all_processes_and_is_printed_once(tmp_path, body, message):
    started = time.monotonic()
    process = launch(tmp_path, "torchrun", body)
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0 and "not reached" not in out
    assert err.count(f"error: {message}") == 1, err
    assert time.monotonic() - started < 100


@pytest.mark.slow
def test_an_error_before_the_group_is_not_lost_with_a_slow_process(tmp_path):
    process = launch(tmp_path, "torchrun", "pass", before=ALIKE_BEFORE_THE_GROUP)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0 and err.count("error: all know early") == 1, err


def test_one_process_needs_no_launcher(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with process_group(only_cpu=True) as world:
        assert (world.rank, world.size, world.device.type, world.is_main) == (0, 1, "cpu", True)
        barrier()
        assert gather_objects("a") == ["a"]
    with pytest.raises(EdgeSamError, match="wrong"), agree_on_errors():
        raise EdgeSamError("wrong")


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for local_rank, elsewhere in (("2", False), ("3", True)):
        monkeypatch.setenv("LOCAL_RANK", local_rank)
        with pytest.raises(EdgeSamError, match="--nproc_per_node 2") as raised, process_group():
            pass
        assert already_reported(raised.value) is elsewhere
