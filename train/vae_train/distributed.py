"""Many processes on one global batch: torchrun's environment and torch's own DistributedDataParallel.

Every process draws the same order and the same noise and takes its share of each batch, so a run is the same, up to
float rounding, on any number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Result = TypeVar("Result")
PATIENCE = timedelta(hours=12)  # for `first_alone`: the first process may convert a large folder


@dataclass(frozen=True)
class World:
    """This process among `size` that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """This process's part of n images."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def first_alone(self, work: Callable[[], Result]) -> Result:
        """`work` in the first process, then in the others."""
        if self.size == 1:
            return work()
        if not self.is_main:
            distributed.barrier()
        result = work()
        if self.is_main:
            distributed.barrier()
        return result

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Each value summed over all processes, in float64."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def wrap(self, module: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
        """`module`, compiled or not, with its gradients averaged over all processes."""
        if self.size == 1:
            return module
        assert isinstance(module, nn.Module)  # which torch.compile keeps, whatever its types say
        return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """The world that torchrun started this process in, and the device that is this process's own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(), device
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield World(rank, size), device
        # Until the first process has written its files. One that ended at once, while a thread of gloo's still held the
        # last sum's tensor, was aborted by Python.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
