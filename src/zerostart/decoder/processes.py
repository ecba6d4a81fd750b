"""One training in several processes, as `torchrun` starts them; alone, everything here does nothing.

The processes hold equal models, see different images and average their gradients (DistributedDataParallel).
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """This process among `count`; the one of rank 0 does what is done once."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and scores."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` itself, or with gradients that are averaged over the processes."""
        return model if self.count == 1 else DistributedDataParallel(model, find_unused_parameters=True)

    def alone(self, model: nn.Module) -> AbstractContextManager:
        """Gradients of a wrapped model are only added up meanwhile, and exchanged with those of the next pass."""
        return contextlib.nullcontext() if self.count == 1 else model.no_sync()

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the processes."""
        if self.count > 1:
            dist.all_reduce(value)
        return value.item() / self.count

    def once(self, work: Callable[[], Any]) -> Any:
        """What the first process' `work()` returns, in all of them; the others wait. An exception reaches all of them."""
        if self.count == 1:
            return work()
        done: list[Any] = [None, None]
        if self.first:
            try:
                done[0] = work()
            except Exception as error:  # the others would wait for ever
                done[1] = error
        dist.broadcast_object_list(done)
        if done[1] is not None:
            raise done[1]
        return done[0]


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    """Join the processes of `torchrun`, each on a GPU of its own if there are GPUs; without it, this process is alone."""
    count, rank, local = (int(os.environ.get(name, default)) for name, default in ENVIRONMENT)
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if count == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # The others wait while the first one prepares its inputs, which may take longer than the usual ten minutes.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(days=1))
    try:
        yield Processes(rank, count, device)
    finally:
        dist.destroy_process_group()


ENVIRONMENT = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
"""What `torchrun` sets, with the values of a process that is alone."""
