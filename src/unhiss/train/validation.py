"""Loss and SNR of a network over fixed mixtures."""

from __future__ import annotations

import torch
from torch import nn

from unhiss.config import Experiment
from unhiss.train import losses
from unhiss.train.batches import Batches
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.curves import MetricsRow
from unhiss.train.device import autocast
from unhiss.train.speech import area_under_curve, speech_labels


@torch.no_grad()
def validate(network: nn.Module, batches: Batches, experiment: Experiment, dtype: torch.dtype, name: str) -> MetricsRow:
    """NAME_loss, NAME_snr_db, NAME_noisy_snr_db: means over the validation mixtures of `batches`, of all processes.

    With `causal.speech` also NAME_speech_auc, the mean over the batches (train/speech.py).
    """
    sums = torch.zeros(4, 2, dtype=torch.float64, device=batches.device)  # of each value, and their count
    for batch in batches.validation():
        with autocast(batches.device, dtype):
            speech = None
            if isinstance(batch, CausalBatch):
                loss, estimate, speech = losses.evaluate_causal(network, batch, experiment)
            else:
                loss, estimate = losses.evaluate(network, batch, experiment)
            values = [*losses.snrs_db(estimate, batch)]
            if speech is not None:
                values.append(area_under_curve(speech, speech_labels(batch))[None])
        sums[0] += torch.tensor([float(loss) * len(batch), len(batch)], device=batches.device)
        for row, value in enumerate(values, 1):
            sums[row] += torch.stack([value.nansum(), value.isfinite().sum()])
    loss, noisy_snr_db, snr_db, speech_auc = (batches.group.mean(sums)[:, 0] / sums[:, 1]).tolist()
    metrics = {f"{name}_loss": loss, f"{name}_snr_db": snr_db, f"{name}_noisy_snr_db": noisy_snr_db}
    return metrics | {f"{name}_speech_auc": speech_auc} if experiment.causal.speech else metrics
