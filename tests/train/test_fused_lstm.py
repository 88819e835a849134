"""The LSTM of one kernel each way gives what torch's gives. Needs Triton, and a GPU or TRITON_INTERPRET=1."""

from __future__ import annotations

import os

import pytest
import torch

pytest.importorskip("triton", reason="Triton comes with PyTorch for CUDA")
if not (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"):
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)

from unhiss.train.fused_lstm import lstm

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("inputs", "units", "count", "frames"), [(36, 36, 70, 9), (18, 18, 5, 7), (7, 20, 33, 2)])
def test_outputs_states_and_gradients_are_those_of_torch(inputs: int, units: int, count: int, frames: int) -> None:
    torch.manual_seed(0)
    cell = torch.nn.LSTM(inputs, units).to(DEVICE)
    x = torch.randn(frames, count, inputs, device=DEVICE, requires_grad=True)
    state = tuple(torch.randn(1, count, units, device=DEVICE) for _ in "hc")
    gradient = torch.randn(frames, count, units, device=DEVICE)
    expected, last = cell(x, state)
    expected.backward(gradient)
    wanted = [expected, *last, x.grad, *(parameter.grad for parameter in cell.parameters())]
    x.grad = None
    cell.zero_grad()
    dtype, tolerance = (torch.bfloat16, 0.02) if DEVICE.type == "cuda" else (torch.float32, 1e-5)
    got, got_last = lstm(cell, x, state, dtype)
    got.backward(gradient.to(dtype))
    for one, two in zip(wanted, [got, *got_last, x.grad, *(p.grad for p in cell.parameters())], strict=True):
        assert float(((one - two).norm() / one.norm()).detach()) < tolerance
