"""What the loop trains: for each kind of model, its network, its batches and its loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.train import losses
from unhiss.train.batches import Batches
from unhiss.train.causal import Causal
from unhiss.train.causal_batches import CausalBatch, CausalBatches
from unhiss.train.mixtures import Mixtures
from unhiss.train.processes import Place
from unhiss.train.spectra import FrameModel


def network(experiment: Experiment) -> nn.Module:
    """A new network as the experiment describes it."""
    return Causal(experiment.causal) if experiment.model.kind == "causal" else FrameModel(experiment.model)


def source(store: Store, split: str, experiment: Experiment, device: torch.device, place: Place) -> Mixtures:
    kind = CausalBatches if experiment.model.kind == "causal" else Batches
    batches = kind(store, split, experiment, device)
    batches.place = place
    return batches


def probe(batch: Any) -> Tensor:
    """What of a batch goes into the model; a checkpoint carries some of it, for export to compare on."""
    inputs: Tensor = batch.noisy if isinstance(batch, CausalBatch) else batch.frames
    return inputs


def loss(model: nn.Module, batch: Any, experiment: Experiment) -> tuple[Tensor, Tensor]:
    """Loss of a batch, and the estimate it is the loss of."""
    value, _, estimate, _ = _run(model, batch, experiment)
    return value, estimate


def judge(model: nn.Module, batch: Any, experiment: Experiment) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of a batch, and each example's SNR in dB before and after."""
    value, noisy, estimate, clean = _run(model, batch, experiment)
    estimate = estimate.detach()
    if isinstance(batch, CausalBatch):
        noisy, estimate, clean = (
            torch.view_as_complex(s.contiguous()) * batch.loudness[..., 0] for s in (noisy, estimate, clean)
        )
    return value, losses.snr_db(noisy, clean), losses.snr_db(estimate, clean)


def _run(model: nn.Module, batch: Any, experiment: Experiment) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss, noisy, estimate, clean."""
    if isinstance(batch, CausalBatch):
        estimate = model(batch.noisy)[0].float()
        return losses.causal(estimate, batch, experiment.train), batch.noisy, estimate, batch.clean
    out = model(batch.frames)
    estimate = batch.noisy * losses.gain(out, batch.frames)[:, 0]  # phase of the noisy input
    direct = experiment.train.loss == "mse"
    value = losses.mse(out, batch.target) if direct else losses.compressed_spectrum(estimate, batch.clean)
    return value, batch.noisy, estimate, batch.clean
