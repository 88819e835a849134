"""Several processes that train one model together: started by torchrun, each on its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Place:
    """Which of how many processes this one is. The first writes; the others only compute."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes, the same number in each; in place."""
        self.share([value])()
        return value

    def share(self, values: Sequence[Tensor]) -> Callable[[], None]:
        """Begin to make each value the mean over all processes, in place; the call it returns waits until they are.

        All go in one message: models of a few megabytes would gain nothing from DistributedDataParallel,
        which sends while it computes, and whose threads outlive the process group (torch 2.13).
        """
        if self.count == 1:
            return lambda: None
        together = torch.cat([value.flatten() for value in values])
        sent = distributed.all_reduce(together, async_op=True)

        def finish() -> None:
            sent.wait()
            for value, mean in zip(values, (together / self.count).split([v.numel() for v in values]), strict=True):
                value.copy_(mean.view_as(value))

        return finish


ALONE = Place()


def gradients(model: nn.Module) -> list[Tensor]:
    """Of all parameters that have one."""
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def join(device: torch.device) -> Place:
    """The place torchrun gave this process, once all have met; without torchrun it is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Place(distributed.get_rank(), distributed.get_world_size())


def leave(place: Place) -> None:
    if place.count > 1:
        distributed.destroy_process_group()


def started_anew() -> bool:
    """Whether torchrun started all processes again because one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
