"""Several processes that train one model together: started by torchrun, each on its share of every batch."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


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
        if self.count > 1:
            distributed.all_reduce(value)
            value /= self.count
        return value


ALONE = Place()


def join(device: torch.device) -> Place:
    """The place torchrun gave this process, once all have met; without torchrun it is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Place(distributed.get_rank(), distributed.get_world_size())


def shared(model: nn.Module, place: Place) -> nn.Module:
    """The model, its gradients the mean over all processes once they are computed; buffers stay a process's own."""
    if place.count == 1:
        return model
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of 1 x 1 kernels: two names for one layout
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # a newer name is for newer torch alone
        return DistributedDataParallel(model, broadcast_buffers=False)


def leave(place: Place) -> None:
    if place.count > 1:
        distributed.destroy_process_group()


def started_anew() -> bool:
    """Whether torchrun started all processes again because one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
