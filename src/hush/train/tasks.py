"""What the loop trains: for each kind of model, its network, its batches and its loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hush.config import Experiment
from hush.data.store import Store
from hush.train import losses
from hush.train.batches import Batch, Batches
from hush.train.causal import Causal
from hush.train.causal_batches import CausalBatch, CausalBatches
from hush.train.mixtures import Mixtures
from hush.train.processes import Place
from hush.train.spectra import FrameModel


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


def judge(model: nn.Module, batch: Any, experiment: Experiment) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of a batch, and each example's SNR in dB before and after."""
    if isinstance(batch, CausalBatch):
        return _judge_spectra(model, batch)
    return _judge_frames(model, batch, experiment)


def _judge_frames(model: nn.Module, batch: Batch, experiment: Experiment) -> tuple[Tensor, Tensor, Tensor]:
    out = model(batch.frames)
    estimate = batch.noisy * losses.gain(out, batch.frames)[:, 0]  # phase of the noisy input
    direct = experiment.train.loss == "mse"
    loss = losses.mse(out, batch.target) if direct else losses.audible(estimate, batch.clean)
    return loss, losses.snr_db(batch.noisy, batch.clean), losses.snr_db(estimate.detach(), batch.clean)


def _judge_spectra(model: nn.Module, batch: CausalBatch) -> tuple[Tensor, Tensor, Tensor]:
    estimate = model(batch.noisy)[0].float()
    scaled = [torch.view_as_complex(s.contiguous()) * batch.loudness[..., 0] for s in
              (batch.noisy, estimate.detach(), batch.clean)]  # fmt: skip
    return losses.causal(estimate, batch), losses.snr_db(scaled[0], scaled[2]), losses.snr_db(scaled[1], scaled[2])
