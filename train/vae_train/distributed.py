"""Several processes on one global batch, by torchrun and torch's DistributedDataParallel.

Every process draws the same order and the same noise and takes its share of each batch, so a run is
the same, up to float rounding, on any number of processes.
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

from vae_train.heartbeat import watched

Result = TypeVar("Result")
# How long the others wait in `main_first`, where the main process may convert a large folder.
MAX_WAIT = timedelta(hours=12)


@dataclass(frozen=True)
class ProcessGroup:
    """This process, number `rank` of `size` that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """This process's part of n images."""
        start = n * self.rank // self.size
        stop = n * (self.rank + 1) // self.size
        return slice(start, stop)

    def main_first(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the main process, then in the others."""
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

    def data_parallel(self, module: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
        """`module`, compiled or not, with its gradients averaged over all processes."""
        if self.size == 1:
            return module
        # torch.compile keeps a module a module, whatever its types say.
        assert isinstance(module, nn.Module)
        device_ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=device_ids)


SINGLE_PROCESS = ProcessGroup()


@contextmanager
def joined_process_group(device: str) -> Iterator[tuple[ProcessGroup, str]]:
    """Join the processes that torchrun started; yields the group and this process's device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield SINGLE_PROCESS, device
        return
    rank = int(os.environ["RANK"])
    if device == "cuda":
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        device = f"cuda:{local_rank}"
        torch.cuda.set_device(local_rank)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    distributed.init_process_group(backend, timeout=MAX_WAIT)
    try:
        with watched(rank, size):
            yield ProcessGroup(rank, size), device
            # Until the main process has written its files. A process that ended at once, while a
            # thread of gloo's still held the last sum's tensor, was aborted by Python.
            distributed.barrier()
    finally:
        distributed.destroy_process_group()
