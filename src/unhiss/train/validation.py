"""Loss and SNR of a network over fixed mixtures."""

from __future__ import annotations

import torch
from torch import nn

from unhiss.config import Experiment
from unhiss.train import losses
from unhiss.train.batches import Batches
from unhiss.train.curves import MetricsRow
from unhiss.train.device import autocast


@torch.no_grad()
def validate(network: nn.Module, batches: Batches, experiment: Experiment, dtype: torch.dtype, name: str) -> MetricsRow:
    """NAME_loss, NAME_snr_db, NAME_noisy_snr_db: means over the validation mixtures of `batches`, of all processes."""
    sums = torch.zeros(3, 2, dtype=torch.float64, device=batches.device)  # of each value, and their count
    for batch in batches.validation():
        with autocast(batches.device, dtype):
            loss, estimate = losses.evaluate(network, batch, experiment)
            snrs_db = losses.snrs_db(estimate, batch)
        sums[0] += torch.tensor([float(loss) * len(batch), len(batch)], device=batches.device)
        for row, values_db in enumerate(snrs_db, 1):
            sums[row] += torch.stack([values_db.nansum(), values_db.isfinite().sum()])
    loss, noisy_snr_db, snr_db = (batches.group.mean(sums)[:, 0] / sums[:, 1]).tolist()
    return {f"{name}_loss": loss, f"{name}_snr_db": snr_db, f"{name}_noisy_snr_db": noisy_snr_db}
