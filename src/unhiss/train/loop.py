"""The training loop, top to bottom: step, validate, save, resume."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError, DataError, ModelError
from unhiss.train import checkpoint, tasks
from unhiss.train.adversary import BETAS, LR, Adversary, joined
from unhiss.train.curves import Row
from unhiss.train.device import keep_memory, precision
from unhiss.train.processes import ALONE, Place, gradients
from unhiss.train.shown import Shown

PROBE = 4  # validation examples a checkpoint carries, so that export can compare on real input
PROBE_FRAMES = 16  # and of spectra only so many frames: 4 MB would be more than the weights


@dataclass(frozen=True)
class Progress:
    """What a progress line shows."""

    frames: int
    loss: float
    samples_per_second: float


class Run:
    """One training run in a folder: its model, optimiser, and where it stands.

    Where several processes train together, each has one of these, at the same step with the same weights.
    """

    def __init__(
        self, experiment: Experiment, store: Store, folder: Path, device: torch.device, place: Place = ALONE
    ) -> None:
        wanted = experiment.sample_rate
        if store.rate != wanted:
            raise DataError(
                f"{store.folder} is at {store.rate} Hz, {experiment.name} wants {wanted} Hz;"
                f" prepare it with --sample-rate {wanted}"
            )
        if experiment.train.micro_batches % place.count:
            raise ConfigError(
                f"train.micro_batches = {experiment.train.micro_batches} for {place.count} processes;"
                f" give train.micro_batches={place.count}, so that each has one of a batch"
            )
        self.experiment, self.folder, self.device, self.place = experiment, folder, device, place
        self.store = store
        self.batches = tasks.source(store, "train", experiment, device, place)
        self.valid = tasks.source(store, "valid", experiment, device, place)
        torch.manual_seed(experiment.train.seed)
        self.model, self.average = tasks.network(experiment).to(device), tasks.network(experiment).to(device)
        for model in (self.model, self.average.eval()):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.model.state_dict())
        fused = device.type == "cuda"  # one kernel instead of hundreds, where a launch costs more than its work
        config = experiment.train
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=config.lr, eps=1e-7, weight_decay=config.weight_decay, fused=fused
        )
        self.adversary = Adversary().to(device) if config.adversarial_weight else None
        if self.adversary:
            self.critics = torch.optim.AdamW(self.adversary.parameters(), lr=LR, betas=BETAS, fused=fused)
        self.dtype = precision(experiment.train.precision, device)
        self.step, self.best, self.seconds = 0, math.inf, 0.0
        self.saved = 0  # the step of last.safetensors
        self.loss_sum, self.loss_steps = torch.zeros((), device=device), 0  # of this epoch

    def lr(self) -> float:
        """Learning rate of the next step: linear warm-up times a constant or half a cosine."""
        config = self.experiment.train
        rate = config.lr * min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        if config.schedule == "cosine":
            rate *= 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, self.step / config.steps)))
        return rate

    def advance(self, *batches: Any) -> Tensor:
        """One optimiser step on this process's parts of a batch; returns the loss over all of it."""
        return self.begin(*batches)()

    def begin(self, *batches: Any) -> Callable[[], Tensor]:
        """The first half of `advance`, up to where it would wait for slower processes; returns the second half."""
        config = self.experiment.train
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr()
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches):
            # Dropout too follows from step and part alone, so that a resumed run repeats an unbroken one.
            part = self.place.rank + number * self.place.count
            torch.manual_seed((config.seed * 1_000_003 + self.step) * config.micro_batches + part)
            loss += self._add_gradient(batch, 1 / len(batches))
        shared = self.place.share([*gradients(self.model), loss])

        def end() -> Tensor:
            shared()
            if config.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
            self.optimiser.step()
            self.step += 1
            self._update_average()
            self.loss_sum += loss
            self.loss_steps += 1
            return loss

        return end

    def _add_gradient(self, batch: Any, share: float) -> Tensor:
        """Add `share` of the gradient of a batch's loss."""
        with self._autocast():
            loss, estimate = tasks.loss(self.model, batch, self.experiment)
        if self.adversary:
            estimate.backward(self._contested(self.adversary, batch, loss, estimate) * share)
        else:
            (loss * share).backward()
        return loss.detach() * share

    def _contested(self, adversary: Adversary, batch: Any, loss: Tensor, estimate: Tensor) -> Tensor:
        """Gradient by the estimate, after one step of the critics on it."""
        with self._autocast():
            cleaned, clean = adversary.heard(estimate, batch)
            lesson = adversary.lesson(cleaned.detach(), clean)
        self.critics.zero_grad(set_to_none=True)
        lesson.backward()
        self.place.share(gradients(adversary))()
        self.critics.step()
        with self._autocast():
            pull = adversary.pull(cleaned, clean)
        return joined(loss, pull, estimate, self.experiment.train.adversarial_weight)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Few steps in, the first weights would still weigh too much. Without averaging this is a copy.
        decay = min(self.experiment.train.ema_decay, self.step / (self.step + 10))
        for mean, new in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)
            else:
                mean.copy_(new)

    def _agree(self) -> None:
        """Batch norm's running statistics are those of a process' own parts; take the mean over all."""
        for model in (self.model, self.average):
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    self.place.mean(buffer)

    @torch.no_grad()
    def validate(self) -> Row:
        """Loss and SNR over the fixed validation mixtures, with the averaged weights."""
        sums = torch.zeros(3, 2, dtype=torch.float64, device=self.device)  # of each value, and of how many
        for batch in self.valid.all():
            with self._autocast():
                loss, *snrs_db = tasks.judge(self.average, batch, self.experiment)
            sums[0] += torch.tensor([float(loss) * len(batch), len(batch)], device=self.device)
            for row, snr_db in enumerate(snrs_db, 1):
                sums[row] += torch.stack([snr_db.nansum(), snr_db.isfinite().sum()])
        loss, noisy_snr_db, snr_db = (self.place.mean(sums)[:, 0] / sums[:, 1]).tolist()
        return {"valid_loss": loss, "valid_snr_db": snr_db, "valid_noisy_snr_db": noisy_snr_db}

    def finish_epoch(self) -> Row:
        """Validate; the row of metrics of the epoch that ended at this step."""
        config = self.experiment.train
        self.refuse_divergence()
        self._agree()
        row: Row = {"epoch": self.step // config.steps_per_epoch, "step": self.step, "frames": self.step * config.batch_size}
        row |= {"loss": float(self.loss_sum) / max(1, self.loss_steps), "lr": self.lr()}
        self.loss_sum, self.loss_steps = torch.zeros((), device=self.device), 0
        return row | self.validate()

    def refuse_divergence(self) -> None:
        """Raise ModelError once a loss is no number: such weights must not replace the last good ones."""
        if not math.isfinite(float(self.loss_sum)):
            raise ModelError(
                f"the loss is no number any more at step {self.step}; {self.folder}/last.safetensors is from step"
                f" {self.saved}; try a lower train.lr (it was {self.lr():.2g}) or train.precision=fp32"
            )

    def save(self, name: str) -> None:
        """Write NAME.safetensors: `best` holds the averaged weights, `last` all that resuming needs."""
        self._agree()
        if name == "last":
            self.saved = self.step
        if not self.place.first:
            return
        tensors = {f"average.{key}": value for key, value in self.average.state_dict().items()}
        if name == "last":
            tensors |= {f"model.{key}": value for key, value in self.model.state_dict().items()}
            tensors |= checkpoint.moments("adam.", self.optimiser)
            if self.adversary:
                tensors |= {f"critics.{key}": value for key, value in self.adversary.state_dict().items()}
                tensors |= checkpoint.moments("critics_adam.", self.critics)
        tensors["probe.frames"] = tasks.probe(self.valid.batch(0, 0, PROBE))[:, :PROBE_FRAMES]
        notes = {
            "experiment": dataclasses.asdict(self.experiment), "step": self.step, "seconds": self.seconds,
            "best": self.best if math.isfinite(self.best) else None, "data": self.data_facts(),
            "loss_sum": float(self.loss_sum), "loss_steps": self.loss_steps,
        }  # fmt: skip
        checkpoint.save(self.folder / f"{name}.safetensors", tensors, notes)

    def data_facts(self) -> dict[str, Any]:
        settings = self.store.settings
        facts = {
            key: settings[key] for key in ("splits", "licences", "sources", "preprocessing", "seed") if key in settings
        }
        # What decides whether two sets are one: the samples, not where their sources lay.
        return facts | {
            "sha256": hashlib.sha256(json.dumps(settings.get("shards", {}), sort_keys=True).encode()).hexdigest()
        }

    def resume(self) -> None:
        """Continue from last.safetensors, for more epochs than before if this experiment has more.

        Raises ModelError if there is none, or one of other settings or data.
        """
        path = self.folder / "last.safetensors"
        if not path.is_file():
            raise ModelError(f"{self.folder} holds no run to resume; leave --resume out to start one")
        tensors, notes = checkpoint.load(path)
        before = checkpoint.experiment_of(path, notes)
        epochs = max(before.train.epochs, self.experiment.train.epochs)
        often = {name: getattr(self.experiment.train, name) for name in ("save_every_steps", "samples_every_epochs")}
        longer = dataclasses.replace(before, train=dataclasses.replace(before.train, epochs=epochs, **often))
        odd = longer.differences(self.experiment)
        if odd:
            raise ModelError(f"{path} was made with {', '.join(odd)}; resume with that, or choose another -o")
        if notes["data"].get("sha256") != self.data_facts()["sha256"]:
            raise ModelError(f"{path} was trained on another data set; resume with that, or choose another -o")
        for part, model in (("model.", self.model), ("average.", self.average)):
            checkpoint.fill(model, checkpoint.part(tensors, part), path)
        checkpoint.fill_moments(self.optimiser, checkpoint.part(tensors, "adam."))
        if self.adversary:
            checkpoint.fill(self.adversary, checkpoint.part(tensors, "critics."), path)
            checkpoint.fill_moments(self.critics, checkpoint.part(tensors, "critics_adam."))
        self.step = self.saved = notes["step"]
        self.best = math.inf if notes["best"] is None else notes["best"]
        self.seconds = notes["seconds"]
        self.loss_sum = torch.tensor(notes.get("loss_sum", 0.0), device=self.device)
        self.loss_steps = notes.get("loss_steps", 0)


def train(
    run: Run,
    show: Callable[[Progress], None] = lambda progress: None,
    log: Callable[[Row], None] = lambda row: None,
) -> None:
    """Train until the last epoch; validates after each, saves every `save_every_steps` and at the end.

    Interrupted in any way, at most the steps since the last save are lost; `Run.resume` goes on from there.
    Raises ModelError when the loss is no number any more.
    """
    keep_memory()
    config = run.experiment.train
    shown = Shown(run.folder, run.store, run.experiment, run.step) if run.place.first else None
    if run.step == 0:
        run.save("last")  # from here on there is something to resume
    while run.step < config.steps:
        epoch, number = divmod(run.step, config.steps_per_epoch)
        first, began, spent = run.step, time.perf_counter(), run.seconds
        steps = run.batches.epoch(epoch, number)
        batches = next(steps, None)
        while batches:
            end = run.begin(*batches)
            batches = next(steps, None)  # made while slower processes catch up
            loss = end()
            run.seconds = spent + time.perf_counter() - began
            speed = (run.step - first) * config.batch_size / (run.seconds - spent)
            if run.step % 10 == 0 or run.step == first + 1:
                show(Progress(run.step * config.batch_size, float(loss), speed))
            if run.step % config.save_every_steps == 0 and run.step % config.steps_per_epoch:
                run.refuse_divergence()
                run.save("last")
        row = run.finish_epoch() | {"samples_per_second": round(speed, 1)}
        better = row["valid_loss"] < run.best
        run.best = min(run.best, row["valid_loss"])
        if shown:
            shown.add(row, run.average)
        if better:
            run.save("best")
        run.save("last")
        log(row)
