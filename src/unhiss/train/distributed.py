"""Processes that train one model together, started by torchrun; each computes its share of every batch."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


class Reduction:
    """An all-reduce in progress."""

    def __init__(self, values: Sequence[Tensor], count: int) -> None:
        self._values, self._count = values, count
        if count > 1:
            self._message = torch.cat([value.flatten() for value in values])
            self._work = distributed.all_reduce(self._message, async_op=True)

    def wait(self) -> None:
        """Block until every value holds the mean over all processes."""
        if self._count > 1:
            self._work.wait()
            means = torch.split(self._message / self._count, [value.numel() for value in self._values])
            for value, mean in zip(self._values, means, strict=True):
                value.copy_(mean.view_as(value))


@dataclass(frozen=True)
class ProcessGroup:
    """The rank of this process, and how many train together. The first writes files; the others only compute."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def all_reduce(self, values: Sequence[Tensor]) -> Reduction:
        """Start to replace each value, in place, by its mean over all processes; `wait` completes it.

        One message: models of a few megabytes gain nothing from DistributedDataParallel, which sends while it computes.
        """
        return Reduction(values, self.count)

    def mean(self, value: Tensor) -> Tensor:
        """The value, replaced in place by its mean over all processes."""
        self.all_reduce([value]).wait()
        return value


SINGLE_PROCESS = ProcessGroup()


def gradients(model: nn.Module) -> list[Tensor]:
    """The gradients of all parameters that have one."""
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def join_group(device: torch.device) -> ProcessGroup:
    """The group torchrun started this process in, once all have connected; SINGLE_PROCESS without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return SINGLE_PROCESS
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return ProcessGroup(distributed.get_rank(), distributed.get_world_size())


def leave_group(group: ProcessGroup) -> None:
    """Disconnect from the other processes."""
    if group.count > 1:
        distributed.destroy_process_group()


def end_process(group: ProcessGroup) -> None:
    """End a process of a group with exit code 0, now that its work is done; a single process goes on.

    Python is not wound up: a thread of gloo may still free a message then, which aborts the process
    (https://github.com/pytorch/pytorch/pull/179291), and torchrun would call the training failed.
    """
    if group.count > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def restarted() -> bool:
    """Whether torchrun started all processes again because one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
