"""The process group: started by ``torchrun``, by ``torch.distributed.launch``, or not at all (one process)."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from edge_sam.errors import EdgeSamError

T = TypeVar("T")

# How long processes wait for one that prepares something (lists millions of files, evaluates). A process that dies
# does not make the others wait as long: the launcher ends them.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class World:
    """This process among its peers."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


@contextmanager
def process_group(only_cpu: bool = False) -> Iterator[World]:
    """Join the processes that the launcher started, and leave them at the end.

    Reads ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` of the environment (the ``--local-rank`` that
    ``torch.distributed.launch`` passes says the same). NCCL where there is CUDA, gloo where not.

    Raises:
        EdgeSamError: more processes on this machine than GPUs. An ``EdgeSamError`` from the body passes through; a
            process that fails alone must end, and the launcher then ends the others (see :func:`agree_on_errors`).
    """
    on_cuda = torch.cuda.is_available() and not only_cpu
    device = _choose_device() if on_cuda else torch.device("cpu")
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield World(0, 1, device)
        return
    # With a device_id NCCL connects at once, so a wrong set-up fails here and not in the first step.
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE, device_id=device if on_cuda else None)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    except EdgeSamError as error:
        _claim_report(error)
        raise
    else:
        # Only here: after an error the others may be in the middle of a collective, and NCCL would wait for them.
        dist.destroy_process_group()


def _choose_device() -> torch.device:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    visible = torch.cuda.device_count()
    if local_rank >= visible:
        error = EdgeSamError(
            f"process {local_rank} of this machine finds {visible} GPUs: "
            f"start at most {visible} (--nproc_per_node {visible}), or use --only-cpu"
        )
        error.reported_elsewhere = local_rank > visible  # the first one too many prints; process 0 fares well
        raise error
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _claim_report(error: EdgeSamError) -> None:
    """Let one of the processes that fail with the same message be the one that prints it."""
    name = "edge_sam/error/" + hashlib.sha256(str(error).encode()).hexdigest()
    try:
        first = dist.distributed_c10d._get_default_store().add(name, 1) == 1
    except RuntimeError:  # the process that kept the store is gone: better printed twice than never
        first = True
    error.reported_elsewhere = not first


def already_reported(error: EdgeSamError) -> bool:
    """Whether another process prints this error.

    Before the group is joined every process fails alike (a bad option, a bad setting), and the first of each machine
    prints it.
    """
    if error.reported_elsewhere is None:
        return int(os.environ.get("LOCAL_RANK", "0")) != 0
    return error.reported_elsewhere


@contextmanager
def agree_on_errors() -> Iterator[None]:
    """A body that every process runs; when it fails in one, it fails in all, with that one's message.

    Without it a process whose part went well would wait for the failed one in its next collective call. The body must
    hold no collective calls of its own.

    Raises:
        EdgeSamError: on every process, the first rank's that failed.
    """
    message = None
    try:
        yield
    except EdgeSamError as error:
        message = str(error)
    for found in gather_objects(message):
        if found is not None:
            raise EdgeSamError(found)


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


def gather_objects(value: T) -> list[T]:
    """Return every process's ``value``, in the order of ranks, on every process."""
    if not dist.is_initialized():
        return [value]
    values: list[T | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]
