"""Where a run takes place: which device, in which precision, and how its memory is kept."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

from unhiss.errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def pick_device(name: str = "auto") -> torch.device:
    """The GPU if there is one, else the CPU; or the one named. Raises ConfigError if that is not here.

    Of several processes on one machine, each takes a GPU of its own.
    """
    own = f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"  # set by torchrun
    if name == "auto":
        return torch.device(own if torch.cuda.is_available() else "cpu")
    name = own if name == "cuda" else name
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no class of its own for these
        raise ConfigError(f"no device {name!r} here ({str(error).splitlines()[0][:80]}); try auto or cpu") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: training runs on cpu or cuda")
    return device


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """fp32 or bf16 as wanted; "auto" is bf16 where the hardware multiplies it, not where it is imitated.

    GPUs do from compute capability 8.0 on; x86 processors with AVX512-BF16 or AMX.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bf16" else torch.float32
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        # These stand under private names in torch 2.6 to 2.13; without them, fp32 is always right.
        probes = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("avx512_bf16", "amx_tile"))
        fast = any(probe() for probe in probes if probe)
    return torch.bfloat16 if fast else torch.float32


def keep_memory() -> None:
    """Tell glibc not to hand freed activations back, else each step pays for its pages anew.

    For the whole process, for good; does nothing where the C library has no mallopt.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)  # large blocks too come from the heap
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)  # which never shrinks
