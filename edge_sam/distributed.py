"""The process group: started by ``torchrun``, by ``torch.distributed.launch``, or not at all (one process)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist


T = TypeVar("T")


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
    """
    on_cuda = torch.cuda.is_available() and not only_cpu
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if on_cuda else torch.device("cpu")
    if on_cuda:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" not in os.environ:
        yield World(0, 1, device)
        return
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


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
