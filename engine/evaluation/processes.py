"""Processes that evaluate together, as `accelerate launch` or `torchrun` starts them."""

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any, Self, TypeVar

from oneword.engine.dependencies import require
from oneword.engine.errors import DeviceUnavailable, EngineError

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among the others; by default there are no others.

    Args:
        rank: of this process, from 0. Process 0 is the main one, which prints and writes.
        count: of all processes.
        local: the rank among the processes of this machine; also the number of its GPU.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def launched(cls) -> Self:
        """Joins the processes that the launcher's environment describes; without a launcher there is only this one."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        require("torch", what="an evaluation by several processes", extra="e5v")
        from torch import distributed

        if not distributed.is_initialized():
            # Threads of a group must end before the process does, or it may abort at its exit. They end with the last
            # reference to it; functions of this module would hold one, as a default argument, if it came later.
            import_module("torch.distributed.nn.functional")
            # Only vectors in main memory are exchanged, so gloo serves GPUs, too. The slowest process may take long.
            distributed.init_process_group("gloo", timeout=timedelta(days=1))
            atexit.register(distributed.destroy_process_group)
        return cls(rank=distributed.get_rank(), count=count, local=int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def device(self, chosen: str) -> str:
        """Returns the device of this process: with "auto" each has a GPU of its own, where there are any.

        Raises:
            DeviceUnavailable: one GPU was asked for by number, and there are several processes.
        """
        if self.count == 1:
            return chosen
        if chosen.startswith("cuda:"):
            raise DeviceUnavailable(
                f"device {chosen!r} with {self.count} processes: expected auto, cuda or cpu; each process takes the "
                "GPU of its own number, so choose GPUs with CUDA_VISIBLE_DEVICES"
            )
        import torch

        return f"cuda:{self.local}" if chosen == "cuda" or (chosen == "auto" and torch.cuda.is_available()) else chosen

    def gathered(self, work: Callable[[], Found]) -> list[Found]:
        """Returns what `work` returned in each process, by rank. An error in one process is raised in all of them."""
        if self.count == 1:
            return [work()]
        from torch import distributed

        found, failure = None, None
        try:
            found = work()
        except EngineError as error:
            failure = error
        outcomes: list[Any] = [None] * self.count
        distributed.all_gather_object(outcomes, (found, failure and str(failure)))
        if failure:
            raise failure
        for rank, (_, message) in enumerate(outcomes):
            if message is not None:
                raise EngineError(f"process {rank} of {self.count}: {message}")
        return [one for one, _ in outcomes]
