"""An LSTM over thousands of short sequences on a GPU, in one kernel each way (Triton).

cuDNN takes half of a training step of the causal models for theirs: 7,000 sequences of 36 units. Here each program
keeps the recurrent weights and the state of some sequences on the chip and walks through time; all products that do not
depend on the frame before are left to matrix products outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 32, 8  # sequences and warps of one program: what fits into the registers


@triton.jit
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    return 2 / (1 + tl.exp(-2 * x)) - 1


@triton.jit  # type: ignore[untyped-decorator]
def _forward(  # type: ignore[no-untyped-def]
    x, w, h0, c0, h_out, c_out, gates, frames, count, H: tl.constexpr, P: tl.constexpr, N: tl.constexpr
):
    """x `(T, N, 4H)`: input products and biases. w `(4H, H)`. Writes h, c `(T, N, H)` and the gates `(T, N, 4H)`."""
    rows = (tl.program_id(0) * N + tl.arange(0, N)).to(tl.int64)[:, None]
    cols, inner = tl.arange(0, P)[None, :], tl.arange(0, P)[:, None]
    mask, w_mask = (rows < count) & (cols < H), (inner < H) & (cols < H)
    w_in = tl.load(w + cols * H + inner, w_mask, 0.0)
    w_forget = tl.load(w + (H + cols) * H + inner, w_mask, 0.0)
    w_cell = tl.load(w + (2 * H + cols) * H + inner, w_mask, 0.0)
    w_out = tl.load(w + (3 * H + cols) * H + inner, w_mask, 0.0)
    h = tl.load(h0 + rows * H + cols, mask, 0.0)
    c = tl.load(c0 + rows * H + cols, mask, 0.0).to(tl.float32)
    for t in range(frames):
        at = (t * count + rows) * (4 * H) + cols
        i = _sigmoid(tl.load(x + at, mask, 0.0).to(tl.float32) + tl.dot(h, w_in))
        f = _sigmoid(tl.load(x + at + H, mask, 0.0).to(tl.float32) + tl.dot(h, w_forget))
        g = _tanh(tl.load(x + at + 2 * H, mask, 0.0).to(tl.float32) + tl.dot(h, w_cell))
        o = _sigmoid(tl.load(x + at + 3 * H, mask, 0.0).to(tl.float32) + tl.dot(h, w_out))
        c = f * c + i * g
        h = (o * _tanh(c)).to(h.dtype)
        tl.store(gates + at, i.to(h.dtype), mask)
        tl.store(gates + at + H, f.to(h.dtype), mask)
        tl.store(gates + at + 2 * H, g.to(h.dtype), mask)
        tl.store(gates + at + 3 * H, o.to(h.dtype), mask)
        to = (t * count + rows) * H + cols
        tl.store(h_out + to, h, mask)
        tl.store(c_out + to, c, mask)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(  # type: ignore[no-untyped-def]
    dh_in, w, c0, c_in, gates, dx, frames, count, H: tl.constexpr, P: tl.constexpr, N: tl.constexpr
):
    """dh_in `(T, N, H)`: the gradient of h. Writes dx `(T, N, 4H)`, that of the gates before their nonlinearity."""
    rows = (tl.program_id(0) * N + tl.arange(0, N)).to(tl.int64)[:, None]
    cols, inner = tl.arange(0, P)[None, :], tl.arange(0, P)[:, None]
    mask, w_mask = (rows < count) & (cols < H), (inner < H) & (cols < H)
    w_in = tl.load(w + inner * H + cols, w_mask, 0.0)
    w_forget = tl.load(w + (H + inner) * H + cols, w_mask, 0.0)
    w_cell = tl.load(w + (2 * H + inner) * H + cols, w_mask, 0.0)
    w_out = tl.load(w + (3 * H + inner) * H + cols, w_mask, 0.0)
    dh = tl.zeros((N, P), tl.float32)
    dc = tl.zeros((N, P), tl.float32)
    for back in range(frames):
        t = frames - 1 - back
        at, to = (t * count + rows) * (4 * H) + cols, (t * count + rows) * H + cols
        i = tl.load(gates + at, mask, 0.0).to(tl.float32)
        f = tl.load(gates + at + H, mask, 0.0).to(tl.float32)
        g = tl.load(gates + at + 2 * H, mask, 0.0).to(tl.float32)
        o = tl.load(gates + at + 3 * H, mask, 0.0).to(tl.float32)
        before = tl.load(c0 + rows * H + cols, mask & (t == 0), 0.0).to(tl.float32)
        before += tl.load(c_in + to - count * H, mask & (t > 0), 0.0)
        tanh_c = _tanh(tl.load(c_in + to, mask, 0.0))
        dh += tl.load(dh_in + to, mask, 0.0).to(tl.float32)
        dc += dh * o * (1 - tanh_c * tanh_c)
        d_out = (dh * tanh_c * o * (1 - o)).to(w.dtype.element_ty)
        d_in = (dc * g * i * (1 - i)).to(w.dtype.element_ty)
        d_cell = (dc * i * (1 - g * g)).to(w.dtype.element_ty)
        d_forget = (dc * before * f * (1 - f)).to(w.dtype.element_ty)
        tl.store(dx + at, d_in, mask)
        tl.store(dx + at + H, d_forget, mask)
        tl.store(dx + at + 2 * H, d_cell, mask)
        tl.store(dx + at + 3 * H, d_out, mask)
        dc = dc * f
        dh = tl.dot(d_in, w_in) + tl.dot(d_forget, w_forget) + tl.dot(d_cell, w_cell) + tl.dot(d_out, w_out)


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
        frames, count, units = x.shape[0], x.shape[1], w.shape[1]
        h, gates = x.new_empty(frames, count, units), torch.empty_like(x)
        c = torch.empty(frames, count, units, device=x.device)
        sizes = {"H": units, "P": max(16, triton.next_power_of_2(units)), "N": BLOCK, "num_warps": WARPS}
        _forward[(triton.cdiv(count, BLOCK),)](x, w, h0, c0, h, c, gates, frames, count, **sizes)
        ctx.save_for_backward(w, h0, c0, h, c, gates)
        ctx.sizes = sizes
        return h, c[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Of the input products and the recurrent weights; not through the first or the last state."""
        w, h0, c0, h, c, gates = ctx.saved_tensors
        frames, count, _ = h.shape
        dx = torch.empty_like(gates)
        grid = (triton.cdiv(count, BLOCK),)
        _backward[grid](grads[0].contiguous(), w, c0, c, gates, dx, frames, count, **ctx.sizes)
        before = torch.cat([h0[None], h[:-1]])
        return dx, dx.flatten(0, 1).T @ before.flatten(0, 1), None, None


def lstm(
    cell: torch.nn.LSTM, x: Tensor, state: Sequence[Tensor], dtype: torch.dtype
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`cell(x, state)` of x `(T, N, inputs)` and two states `(1, N, units)`, computed in `dtype`.

    Returns h `(T, N, units)` and the last state, through which no gradient flows.
    """
    weight_x, weight_h, bias_x, bias_h = (parameter.to(dtype) for parameter in cell.parameters())
    products = torch.nn.functional.linear(x.to(dtype), weight_x, bias_x + bias_h)
    h0, c0 = state[0][0].to(dtype).contiguous(), state[1][0].float().contiguous()
    h, c_last = _Recurrent.apply(products.contiguous(), weight_h.contiguous(), h0, c0)  # type: ignore[no-untyped-call]
    return h, (h[-1:].detach(), c_last[None].detach().to(state[1].dtype))
