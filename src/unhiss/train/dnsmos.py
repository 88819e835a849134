"""DNSMOS P.808 as a differentiable torch network, to train towards its score."""

from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from unhiss.score import dnsmos
from unhiss.train.stft import power_spectrogram


class DnsmosP808(nn.Module):
    """Audio `(B, T)` at 16 kHz -> predicted mean opinion score `(B,)`, about 1 to 5.

    The weights are those of the speechmos package and are never trained (Reddy, Gopal, Cutler: DNSMOS, ICASSP 2021;
    as a loss: Fu et al. 2022, MetricGAN-U, arXiv 2110.05866). The network takes the maximum over time, so audio of any
    length scores the same as the audio repeated, which is how speechmos fills its nine seconds.
    """

    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        graph = onnx.load(dnsmos.model_file(dnsmos.P808)).graph
        weights = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        self.kernels = nn.ParameterList(weights[node.input[1]] for node in convolutions)
        self.kernel_biases = nn.ParameterList(weights[node.input[2]] for node in convolutions)
        self.pooled = [_next(graph, _next(graph, node)).op_type == "MaxPool" for node in convolutions]
        products = [node for node in graph.node if node.op_type == "MatMul"]
        self.matrices = nn.ParameterList(weights[node.input[1]].T.contiguous() for node in products)
        self.biases = nn.ParameterList(weights[_next(graph, node).input[1]] for node in products)
        self.register_buffer("mel", torch.from_numpy(dnsmos.mel_bands().T.copy()))
        self.requires_grad_(False)

    def forward(self, audio: Tensor) -> Tensor:
        with torch.autocast(audio.device.type, enabled=False):
            x = self._mel_levels(audio.float())[:, None]
            for kernel, bias, pooled in zip(self.kernels, self.kernel_biases, self.pooled, strict=True):
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
                x = functional.max_pool2d(x, 2) if pooled else x
            x = x.amax((2, 3))
            for number, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True), 1):
                x = functional.linear(x, matrix, bias)
                x = functional.relu(x) if number < len(self.matrices) else x
            return x[:, 0]

    def _mel_levels(self, audio: Tensor) -> Tensor:
        """`(B, T)` -> `(B, N, 120)`: dB of mel bands below their maximum, scaled as in score/dnsmos.py."""
        half = dnsmos.MEL_FFT // 2
        power = power_spectrogram(functional.pad(audio, (half, half)), dnsmos.MEL_FFT, dnsmos.MEL_HOP) @ self.mel
        levels_db = 10 * torch.log10(power.clamp(min=1e-10))
        levels_db = levels_db - levels_db.amax((1, 2), keepdim=True)
        return (levels_db.clamp(min=-80) + 40) / 40


def _next(graph: Any, node: Any) -> Any:
    """The one node that takes this node's output."""
    (following,) = (other for other in graph.node if node.output[0] in other.input)
    return following
