"""Averaged weights, which are validated and shipped: an exponential mean over the steps."""

import torch
from torch import nn

from unhiss.train.distributed import ProcessGroup


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Take the model's weights after `step` steps into the average. Without averaging (decay = 0) this is a copy."""
    decay = min(decay, step / (step + 10))  # smaller at first, or the initial weights would dominate
    for mean, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(new, 1 - decay)
        else:
            mean.copy_(new)


def average_buffers(group: ProcessGroup, *models: nn.Module) -> None:
    """Replace batch norm's running statistics, each process's own, by their mean over all processes."""
    for model in models:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                group.mean(buffer)
