"""A listener who gives marks: DNSMOS P.808 as a network that training can follow uphill."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from unhiss.score import dnsmos


class Listener(nn.Module):
    """Sound `(B, L)` at 16 kHz -> the mean opinion score `(B,)` a crowd would give it, about 1 to 5.

    The weights are those of the speechmos package, and stay as they are (Reddy, Gopal, Cutler: DNSMOS, ICASSP 2021;
    as a loss: Fu et al. 2022, MetricGAN-U, arXiv 2110.05866). It takes the maximum over time, so a sound of any length
    gets the mark of the same sound played again and again, which is how speechmos fills its nine seconds.
    """

    window: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        graph = onnx.load(dnsmos.model_file(dnsmos.P808)).graph
        weights = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        self.kernels = nn.ParameterList(weights[node.input[1]] for node in convolutions)
        self.offsets = nn.ParameterList(weights[node.input[2]] for node in convolutions)
        self.pooled = [_next(graph, _next(graph, node)).op_type == "MaxPool" for node in convolutions]
        products = [node for node in graph.node if node.op_type == "MatMul"]
        self.maps = nn.ParameterList(weights[node.input[1]].T.contiguous() for node in products)
        self.biases = nn.ParameterList(weights[_next(graph, node).input[1]] for node in products)
        self.register_buffer("window", torch.hann_window(dnsmos.MEL_FFT))
        self.register_buffer("mel", torch.from_numpy(dnsmos.mel_bands().T.copy()))
        self.requires_grad_(False)

    def forward(self, sound: Tensor) -> Tensor:
        with torch.autocast(sound.device.type, enabled=False):
            x = self._levels(sound.float())[:, None]
            for kernel, offset, pooled in zip(self.kernels, self.offsets, self.pooled, strict=True):
                x = functional.relu(functional.conv2d(x, kernel, offset, padding=1))
                x = functional.max_pool2d(x, 2) if pooled else x
            x = x.amax((2, 3))
            for number, (product, bias) in enumerate(zip(self.maps, self.biases, strict=True), 1):
                x = functional.linear(x, product, bias)
                x = functional.relu(x) if number < len(self.maps) else x
            return x[:, 0]

    def _levels(self, sound: Tensor) -> Tensor:
        """`(B, L)` -> `(B, N, 120)`: dB of mel bands below their maximum, as dnsmos has them."""
        size, hop = dnsmos.MEL_FFT, dnsmos.MEL_HOP
        spectrum = torch.stft(
            sound, size, hop, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2) @ self.mel
        levels_db = 10 * torch.log10(power.clamp(min=1e-10))
        levels_db = levels_db - levels_db.amax((1, 2), keepdim=True)
        return (levels_db.clamp(min=-80) + 40) / 40


def _next(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto:
    """The one node that takes this one's output."""
    (following,) = (other for other in graph.node if node.output[0] in other.input)
    return following
