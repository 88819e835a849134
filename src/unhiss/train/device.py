"""The device of a run, its precision, and how memory is kept."""

import ctypes
import os
import sys

import torch

from unhiss.errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def pick_device(name: str = "auto") -> torch.device:
    """A device by name; "auto" is the GPU if there is one, else the CPU. Raises ConfigError if it is missing.

    Of several processes on one machine, each takes a GPU of its own.
    """
    gpu = f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"  # set by torchrun
    if name == "auto":
        return torch.device(gpu if torch.cuda.is_available() else "cpu")
    name = gpu if name == "cuda" else name
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no class of its own for these
        raise ConfigError(f"no device {name!r} here ({str(error).splitlines()[0][:80]}); try auto or cpu") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: training runs on cpu or cuda")
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """fp32 or bf16 by name; "auto": bf16 where the hardware multiplies it (GPUs from 8.0 on, AVX512-BF16, AMX)."""
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        # These have private names in torch 2.6 to 2.13; without them, fp32 is always right.
        probes = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("avx512_bf16", "amx_tile"))
        fast = any(probe() for probe in probes if probe)
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Operations in bf16 where that is the dtype, else as they are."""
    return torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16)


def keep_memory() -> None:
    """Tell glibc, for good, not to return freed memory to the system: each step would pay for its pages again."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)  # large blocks too come from the heap
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)  # which never shrinks
