"""The network of an experiment, and frame networks as the ONNX contract has them."""

import math

from torch import Tensor, nn
from torch.nn import functional

from unhiss.config import Experiment
from unhiss.dsp.frames import FLOOR_DB
from unhiss.settings import ModelConfig
from unhiss.train.causal import CausalNetwork
from unhiss.train.rced import RCED
from unhiss.train.running_level import LevelNormalisedNetwork
from unhiss.train.unet import UNet

DB_PER_NEPER = 20 / math.log(10)


class FrameNetwork(nn.Module):
    """U-Net or R-CED: scaled frames `(B, 1, 128, 128)` in, cleaned frames of the same shape out.

    output = "magnitude": the network's output is the clean frame, as in the reference.
    output = "attenuation": it is the logit of a gain; the frame is lowered by that gain in dB,
    frames + 20 log10(sigmoid(logit)) / 80, so no bin becomes louder.
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


def build_network(experiment: Experiment) -> nn.Module:
    """A new network with the experiment's settings."""
    if experiment.model.kind != "causal":
        return FrameNetwork(experiment.model)
    return (LevelNormalisedNetwork if experiment.causal.normalise else CausalNetwork)(experiment.causal)
