"""The reference's frames in torch, and models as functions of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.dsp.frames import AMIN, BINS, FLOOR_DB, HOP, N_FFT
from unhiss.settings import ModelConfig
from unhiss.train.rced import RCED
from unhiss.train.unet import UNet

CONTEXT_SIZE = (BINS - 1) * HOP + N_FFT  # what 128 columns reach over without padding
DB_PER_NEPER = 20 / math.log(10)


def spectrum(audio: Tensor, edges: str = "zeros") -> Tensor:
    """Complex `(B, 128, 128)` of audio `(B, 8064)` ("zeros" around it) or `(B, 8256)` ("context")."""
    if edges == "zeros":
        audio = functional.pad(audio, (N_FFT // 2, N_FFT // 2))
    window = torch.hann_window(N_FFT, device=audio.device)
    return torch.stft(audio, N_FFT, HOP, window=window, center=False, return_complex=True)


def scale(magnitude: Tensor, reference: Tensor) -> Tensor:
    """Magnitudes -> (dB + 80) / 80 in [0, 1]; see unhiss.dsp.frames.scale."""
    level_db = 20 * torch.log10(magnitude.clamp(min=AMIN) / reference.clamp(min=AMIN))
    return level_db.clamp(FLOOR_DB, 0) / -FLOOR_DB + 1


class FrameModel(nn.Module):
    """A network as the ONNX contract has it: scaled frames `(B, 1, 128, 128)` in, cleaned frames out.

    output = "magnitude": the network's output is the clean frame, as in the reference.
    output = "attenuation": it is the logit of a gain; the frame is lowered by that gain in dB,
    frames + 20 log10(sigmoid(logit)) / 80, so nothing is ever made louder.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.net: nn.Module = UNet(config.dropout) if config.kind == "unet" else RCED()

    def forward(self, frames: Tensor) -> Tensor:
        out: Tensor = self.net(frames).float()
        if self.config.output == "magnitude":
            return out
        return frames.float() - functional.softplus(-out) * (DB_PER_NEPER / -FLOOR_DB)
