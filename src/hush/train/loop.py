"""The training loop, top to bottom: step, validate, save, resume."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hush.config import Experiment
from hush.data.store import Store
from hush.errors import DataError, ModelError
from hush.train import checkpoint, losses
from hush.train.batches import Batch, Batches
from hush.train.spectra import FrameModel


@dataclass(frozen=True)
class Progress:
    """What a progress line shows."""

    frames: int
    loss: float
    samples_per_second: float


def precision(experiment: Experiment, device: torch.device) -> torch.dtype:
    """bf16 where asked for, or where the machine multiplies it faster than float32."""
    wanted = experiment.train.precision
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def keep_memory() -> None:
    """Tell glibc not to hand freed activations back: page faults took a third of a CPU step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-4, 0)  # M_MMAP_MAX: large blocks too come from the heap
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: which never shrinks


def loss_of(model: FrameModel, batch: Batch, experiment: Experiment) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the estimated clean spectrum (phase of the noisy input)."""
    out = model(batch.frames)
    estimate = batch.noisy * losses.gain(out, batch.frames)[:, 0]
    if experiment.train.loss == "mse":
        return losses.mse(out, batch.target), estimate
    return losses.audible(estimate, batch.clean), estimate


class Run:
    """One training run in a folder: its model, optimiser, and where it stands."""

    def __init__(self, experiment: Experiment, store: Store, folder: Path, device: torch.device) -> None:
        if store.rate != experiment.frames.sample_rate:
            raise DataError(
                f"{store.folder} is at {store.rate} Hz, {experiment.name} wants {experiment.frames.sample_rate} Hz;"
                f" prepare it with --sample-rate {experiment.frames.sample_rate}"
            )
        self.experiment, self.folder, self.device = experiment, folder, device
        self.batches = Batches(store, "train", experiment, device)
        self.valid = Batches(store, "valid", experiment, device)
        torch.manual_seed(experiment.train.seed)
        self.model, self.average = FrameModel(experiment.model).to(device), FrameModel(experiment.model).to(device)
        for model in (self.model, self.average.eval()):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=experiment.train.lr, eps=1e-7)
        self.dtype = precision(experiment, device)
        self.step, self.best = 0, math.inf
        self.seconds = 0.0

    def lr(self) -> float:
        config = self.experiment.train
        rate = config.lr * min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        if config.schedule == "cosine":
            rate *= 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, self.step / config.steps)))
        return rate

    def advance(self, batch: Batch) -> Tensor:
        """One optimiser step; returns its loss."""
        # Dropout too follows from the step alone, so that a resumed run repeats an unbroken one.
        torch.manual_seed(self.experiment.train.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr()
        self.model.train()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
            loss, _ = loss_of(self.model, batch, self.experiment)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return loss.detach()

    @torch.no_grad()
    def _update_average(self) -> None:
        # Few steps in, the first weights would still weigh too much.
        decay = min(self.experiment.train.average, self.step / (self.step + 10))
        if self.experiment.train.average == 0:
            decay = 0.0
        for mean, new in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)
            else:
                mean.copy_(new)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss and SNR over the fixed validation mixtures, with the averaged weights."""
        total, count = 0.0, 0
        before: list[Tensor] = []
        after: list[Tensor] = []
        for batch in self.valid.epoch(0):
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
                loss, estimate = loss_of(self.average, batch, self.experiment)
            total += float(loss) * len(batch.frames)
            count += len(batch.frames)
            before.append(losses.snr_db(batch.noisy, batch.clean))
            after.append(losses.snr_db(estimate, batch.clean))
        return {
            "valid_loss": total / count,
            "valid_snr_db": float(torch.cat(after).nanmean()),
            "valid_noisy_snr_db": float(torch.cat(before).nanmean()),
        }

    def save(self, name: str) -> None:
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        if name == "best":  # what ships needs no optimiser
            tensors = {key: value for key, value in tensors.items() if key.startswith("average.")}
        else:
            for index, state in self.optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{index}.{key}": value for key, value in state.items()}
        notes = {
            "experiment": dataclasses.asdict(self.experiment), "step": self.step, "best": self.best,
            "seconds": self.seconds, "data": self.data_facts(),
        }  # fmt: skip
        checkpoint.save(self.folder / f"{name}.safetensors", tensors, notes)

    def data_facts(self) -> dict[str, Any]:
        settings = self.batches.mixer.store.settings
        return {key: settings[key] for key in ("parts", "licences", "sources", "cleaning", "seed") if key in settings}

    def resume(self) -> None:
        """Continue from last.safetensors. Raises ModelError if that is of another experiment."""
        path = self.folder / "last.safetensors"
        tensors, notes = checkpoint.load(path)
        if checkpoint.experiment_of(path, notes) != self.experiment:
            raise ModelError(f"{path} was made with other settings; resume with those, or choose another -o")
        for part, model in (("model.", self.model), ("average.", self.average)):
            found = {key.removeprefix(part): value for key, value in tensors.items() if key.startswith(part)}
            checkpoint.fill(model, found, path)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.best, self.seconds = notes["step"], notes["best"], notes["seconds"]


def train(
    run: Run,
    show: Callable[[Progress], None] = lambda progress: None,
    log: Callable[[dict], None] | None = None,
) -> None:
    """Train until the last epoch; validates after each, saves every `save_every_steps` and at the end.

    Interrupted in any way, at most the steps since the last save are lost; `Run.resume` goes on from there.
    """
    keep_memory()
    config = run.experiment.train
    metrics = Metrics(run.folder, run.step)
    started, first, recent = time.perf_counter(), run.step, torch.zeros(())
    while run.step < config.steps:
        epoch, number = divmod(run.step, config.steps_per_epoch)
        total = torch.zeros((), device=run.device)
        began, seen = time.perf_counter(), 0
        for batch in run.batches.epoch(epoch, number):
            recent = run.advance(batch)
            total += recent
            seen += 1
            if run.step % 10 == 0 or seen == 1:
                speed = (run.step - first) * config.batch / (time.perf_counter() - started)
                show(Progress(run.step * config.batch, float(recent), speed))
            if run.step % config.save_every_steps == 0 and run.step % config.steps_per_epoch:
                run.save("last")
        run.seconds += time.perf_counter() - began
        speed = round(seen * config.batch / (time.perf_counter() - began), 1)
        row: dict[str, float] = {"epoch": epoch + 1, "step": run.step, "frames": run.step * config.batch}
        row |= {"loss": float(total) / seen, "lr": run.lr(), "samples_per_second": speed}
        row |= run.validate()
        better = row["valid_loss"] < run.best
        run.best = min(run.best, row["valid_loss"])
        metrics.add(row)
        if better:
            run.save("best")
        run.save("last")
        if log:
            log(row)


class Metrics:
    """metrics.jsonl: a row per epoch; rows past the step a run resumes from are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        self.path.write_text("".join(f"{line}\n" for line in kept))

    def add(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
