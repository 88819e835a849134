"""Device and precision: chosen automatically, bf16 only where the hardware has it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from unhiss.errors import ConfigError
from unhiss.train.device import pick_device, pick_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, available: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device("auto").type == expected


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "meta"])
def test_a_missing_device_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pick_device(name)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)


def test_precision_can_be_chosen_by_name() -> None:
    assert pick_precision("fp32", CPU) is torch.float32
    assert pick_precision("bf16", CPU) is torch.bfloat16


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "expected"),
    [(True, False, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32)],
)
def test_a_processor_gets_bf16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, avx512_bf16: bool, amx: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert pick_precision("auto", CPU) is expected


def test_a_torch_without_these_probes_trains_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert pick_precision("auto", CPU) is torch.float32


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_a_gpu_gets_bf16_from_ampere_on(monkeypatch: pytest.MonkeyPatch, capability, expected) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_precision("auto", torch.device("cuda")) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_kept_memory_is_not_paged_in_again() -> None:
    probe = """
import resource, torch
from unhiss.train.device import keep_memory
keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(12):  # until malloc has its small leftovers where it wants them
    faults()
print(faults())
"""
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1000  # 64 MB are 16,384 pages
