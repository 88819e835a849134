"""The training loop, top to bottom: step, validate, save, resume."""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError, DataError, ModelError
from unhiss.train import checkpoint, losses
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.curves import MetricsRow
from unhiss.train.device import autocast, keep_memory, pick_precision
from unhiss.train.discriminators import BETAS, LR, Discriminator, balanced_gradient
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup, Reduction, gradients
from unhiss.train.losses import Batch
from unhiss.train.networks import build_network
from unhiss.train.optimisers import build_optimisers
from unhiss.train.run_page import RunPage
from unhiss.train.schedule import learning_rate, progress
from unhiss.train.stop_request import StopRequest
from unhiss.train.validation import validate
from unhiss.train.varied_batches import VariedBatches, batches_of
from unhiss.train.weight_average import average_buffers, update_average

PROBE_EXAMPLES = 4  # validation inputs stored in a checkpoint, so that export can compare on real input
PROBE_FRAMES = 16  # of a causal input; a whole example would be larger than the weights
REPORT_S = 10.0  # longest time between two reports of progress, plus a step; a report waits for the device


@dataclass(frozen=True)
class Progress:
    """Progress of a run. metrics: the row of an epoch, once it has ended."""

    examples: int
    loss: float
    samples_per_second: float
    metrics: MetricsRow | None = None


class Run:
    """One training run in a folder: model, optimiser, current step. Each process of a group has its own, all alike."""

    def __init__(
        self, experiment: Experiment, store: Store, folder: Path, device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:  # fmt: skip
        _check(experiment, store, group)
        self.experiment, self.store, self.folder, self.device, self.group = experiment, store, folder, device, group
        self.batches = batches_of(experiment, store, "train", device, group)
        self.valid_batches = batches_of(experiment, store, "valid", device, group)
        # With variation, the losses of both splits are compared on mixtures of one kind.
        self.seen_batches = self.batches.plain() if isinstance(self.batches, VariedBatches) else None
        config = experiment.train
        torch.manual_seed(config.seed)
        self.model, self.ema_model = build_network(experiment).to(device), build_network(experiment).to(device)
        for model in (self.model, self.ema_model.eval()):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema_model.load_state_dict(self.model.state_dict())
        self.trained = self.model
        if part := "speech" if experiment.causal.speech else config.part:
            self.trained = _alone(self.model, part)
        fused = device.type == "cuda"  # one kernel instead of hundreds, where a launch costs more than its work
        self.optimisers = build_optimisers(self.trained, config, fused)
        self.discriminator = Discriminator().to(device) if config.adversarial_weight else None
        if (discriminator := self.discriminator) is not None:
            self.discriminator_optimiser = torch.optim.AdamW(discriminator.parameters(), LR, BETAS, fused=fused)
        self.dtype = pick_precision(config.precision, device)
        self.step, self.saved_step = 0, 0  # now, and in last.safetensors
        self.best, self.seconds = math.inf, 0.0
        self.stop, self.stopped = StopRequest(), False  # this process was asked to stop; all know that one was
        self.loss_sum, self.loss_steps = torch.zeros((), device=device), 0  # of this epoch

    def lr(self) -> float:
        """Learning rate of the next step."""
        return learning_rate(self.experiment.train, self.step, self.seconds)

    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return progress(self.experiment.train, self.step, self.seconds)

    def train_step(self, *batches: Batch) -> Tensor:
        """One optimiser step on this process's micro-batches; returns the loss over all processes."""
        loss, reduction = self.start_step(*batches)
        self.finish_step(loss, reduction)
        return loss

    def start_step(self, *batches: Batch) -> tuple[Tensor, Reduction]:
        """Compute the gradients and start their all-reduce; `finish_step` takes both results."""
        config = self.experiment.train
        self.trained.train()
        self.trained.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        for index, batch in enumerate(batches):
            # Dropout too depends on the step and the micro-batch alone, so that a resumed run equals an unbroken one.
            number = self.group.rank + index * self.group.count
            torch.manual_seed((config.seed * 1_000_003 + self.step) * config.micro_batches + number)
            loss += self._add_gradient(batch, 1 / len(batches))
        self._votes = torch.full((), float(bool(self.stop)), device=self.device)  # to stop after this step
        return loss, self.group.all_reduce([*gradients(self.trained), loss, self._votes])

    def finish_step(self, loss: Tensor, reduction: Reduction) -> None:
        """Wait for the all-reduce, update the weights and their average. `loss` becomes the mean over processes."""
        reduction.wait()
        config = self.experiment.train
        if config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.trained.parameters(), config.clip_norm)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = self.lr()
            optimiser.step()
        self.step += 1
        update_average(self.ema_model, self.model, config.ema_decay, self.step)
        self.loss_sum += loss
        self.loss_steps += 1
        self.stopped = bool(self.stop) if self.group.count == 1 else bool(self._votes > 0)

    def _add_gradient(self, batch: Batch, weight: float) -> Tensor:
        """Add `weight` times the gradient of a batch's loss; returns the weighted loss."""
        with autocast(self.device, self.dtype):
            loss, estimate = losses.evaluate(self.model, batch, self.experiment)
        if self.discriminator and isinstance(batch, CausalBatch):
            gradient = self._adversarial_gradient(self.discriminator, batch, loss, estimate)
            torch.autograd.backward(estimate, gradient * weight)
        else:
            torch.autograd.backward(loss * weight)
        return loss.detach() * weight

    def _adversarial_gradient(
        self, discriminator: Discriminator, batch: CausalBatch, loss: Tensor, estimate: Tensor
    ) -> Tensor:
        """Gradient by the estimate, after one step of the discriminator on it."""
        with autocast(self.device, self.dtype):
            denoised, clean = discriminator.segments(estimate, batch)
            discriminator_loss = discriminator.discriminator_loss(denoised.detach(), clean)
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(discriminator_loss)
        self.group.all_reduce(gradients(discriminator)).wait()
        self.discriminator_optimiser.step()
        with autocast(self.device, self.dtype):
            generator_loss = discriminator.generator_loss(denoised, clean)
        return balanced_gradient(loss, generator_loss, estimate, self.experiment.train.adversarial_weight)

    def validate(self) -> MetricsRow:
        """Loss and SNR of the averaged weights over the fixed validation mixtures.

        With `vary.on` also over as many plain mixtures of the training clips: seen_loss, seen_snr_db.
        """
        row = validate(self.ema_model, self.valid_batches, self.experiment, self.dtype, "valid")
        if self.seen_batches:
            row |= validate(self.ema_model, self.seen_batches, self.experiment, self.dtype, "seen")
        return row

    def finish_epoch(self) -> MetricsRow:
        """Validate; returns the metrics of the epoch that ended at this step."""
        config = self.experiment.train
        self.raise_if_diverged()
        average_buffers(self.group, self.model, self.ema_model)
        row: MetricsRow = {"epoch": math.ceil(self.step / config.steps_per_epoch), "step": self.step}
        row |= {"frames": self.step * config.batch_size, "lr": self.lr()}
        row["loss"] = float(self.loss_sum) / max(1, self.loss_steps)
        self.loss_sum, self.loss_steps = torch.zeros((), device=self.device), 0
        return row | self.validate()

    def raise_if_diverged(self) -> None:
        """Raise ModelError once a loss is not finite: such weights must not replace the last good ones."""
        if not math.isfinite(float(self.loss_sum)):
            raise ModelError(
                f"the loss is not finite at step {self.step}; {self.folder}/last.safetensors is from step"
                f" {self.saved_step}; try a lower train.lr (it was {self.lr():.2g}) or train.precision=fp32"
            )

    def _parts(self) -> dict[str, checkpoint.Part]:
        """What last.safetensors holds, by the prefix of its tensors."""
        parts: dict[str, checkpoint.Part]
        parts = {"average.": self.ema_model, "model.": self.model}
        parts |= {f"{name}.": optimiser for name, optimiser in self.optimisers.items()}
        if self.discriminator:
            parts |= {"discriminator.": self.discriminator, "discriminator_adam.": self.discriminator_optimiser}
        return parts

    def save(self, name: str) -> None:
        """Write NAME.safetensors: `best` holds the averaged weights, `last` all that resuming needs."""
        average_buffers(self.group, self.model, self.ema_model)
        if name == "last":
            self.saved_step = self.step
        if not self.group.is_first:
            return
        tensors: dict[str, Tensor] = {}
        for prefix, part in self._parts().items():
            if prefix == "average." or name == "last":
                tensors |= checkpoint.add_prefix(prefix, checkpoint.state_tensors(part))
        tensors["probe.frames"] = self.valid_batches.batch(0, 0, PROBE_EXAMPLES).inputs[:, :PROBE_FRAMES]
        metadata = {
            "experiment": dataclasses.asdict(self.experiment), "step": self.step, "seconds": self.seconds,
            "best": self.best if math.isfinite(self.best) else None, "data": checkpoint.describe_data(self.store),
            "loss_sum": float(self.loss_sum), "loss_steps": self.loss_steps,
        }  # fmt: skip
        checkpoint.save(self.folder / f"{name}.safetensors", tensors, metadata)

    def resume(self) -> None:
        """Continue from last.safetensors, for more epochs than before if this experiment has more.

        Raises ModelError if there is none, or if its settings or data differ.
        """
        path = self.folder / "last.safetensors"
        if not path.is_file():
            raise ModelError(f"{self.folder} holds no run to resume; leave --resume out to start one")
        tensors, metadata = checkpoint.load(path)
        checkpoint.refuse_other_run(path, metadata, self.experiment, self.store)
        for prefix, part in self._parts().items():
            checkpoint.load_state(part, checkpoint.with_prefix(prefix, tensors), path)
        self.step = self.saved_step = metadata["step"]
        self.best = math.inf if metadata["best"] is None else metadata["best"]
        self.seconds = metadata["seconds"]
        self.loss_sum = torch.tensor(metadata.get("loss_sum", 0.0), device=self.device)
        self.loss_steps = metadata.get("loss_steps", 0)


def _alone(model: torch.nn.Module, part: str) -> torch.nn.Module:
    """A part of the model, the only one that trains: all else stays as it is, batch norm's statistics too."""
    parts = dict(model.named_children())
    if part not in parts:
        raise ConfigError(f"train.part = {part!r}; this model has {', '.join(parts)}")
    model.eval().requires_grad_(False)
    return parts[part].requires_grad_(True)


def _check(experiment: Experiment, store: Store, group: ProcessGroup) -> None:
    """Raise an error if the experiment does not fit the data set or the number of processes."""
    if store.rate != experiment.sample_rate:
        raise DataError(
            f"{store.folder} is at {store.rate} Hz, {experiment.name} wants {experiment.sample_rate} Hz;"
            f" prepare it with --sample-rate {experiment.sample_rate}"
        )
    if experiment.train.minutes and group.count > 1:
        raise ConfigError(f"train.minutes with {group.count} processes, whose clocks differ; give train.epochs")
    if experiment.train.micro_batches % group.count:
        raise ConfigError(
            f"train.micro_batches = {experiment.train.micro_batches} for {group.count} processes;"
            f" give train.micro_batches={group.count}, so that each has one of a batch"
        )


def train(run: Run) -> Iterator[Progress]:
    """Train until the last epoch, as the progress is read: every tenth step, every ten seconds, and each epoch.

    Validates after each epoch, saves every `save_every_steps` and at the end. Asked to stop (`run.stop`), it saves the
    step it has reached; ended in any other way, it loses at most the steps since the last save. `Run.resume` continues.
    """
    keep_memory()
    # Quiet scenes are full of numbers below 1e-38, which a processor computes slowly: a seventh of the time.
    torch.set_flush_denormal(run.experiment.vary.on)
    page = RunPage(run.folder, run.store, run.experiment, run.step) if run.group.is_first else None
    try:
        if run.step == 0:
            run.save("last")  # from now on there is a checkpoint to resume from
        while run.progress() < 1 and not run.stopped:
            yield from _train_epoch(run, page)
    finally:
        if page:
            page.close(run.step, run.progress())


def _train_epoch(run: Run, page: RunPage | None) -> Iterator[Progress]:
    """Train to the end of the epoch and validate, or to the step at which all processes stop."""
    config = run.experiment.train
    first_step, started, seconds_before = run.step, time.perf_counter(), run.seconds
    reported, steps = -math.inf, run.batches.epoch(*divmod(run.step, config.steps_per_epoch))
    batches = next(steps, None)
    while batches and run.progress() < 1:
        loss, reduction = run.start_step(*batches)
        batches = next(steps, None)  # computed while slower processes catch up
        run.finish_step(loss, reduction)
        run.seconds = seconds_before + (now := time.perf_counter()) - started
        speed = (run.step - first_step) * config.batch_size / (run.seconds - seconds_before)
        if run.step % 10 == 0 or now - reported > REPORT_S:
            reported = now
            yield Progress(run.step * config.batch_size, float(loss), speed)
        if run.step % config.steps_per_epoch and (run.stopped or run.step % config.save_every_steps == 0):
            run.raise_if_diverged()
            run.save("last")
            if run.stopped:
                return
    row = run.finish_epoch() | {"samples_per_second": round(speed, 1)}
    improved, run.best = row["valid_loss"] < run.best, min(run.best, row["valid_loss"])
    if page:
        page.add(row, run.ema_model, run.progress())
    if improved:
        run.save("best")
    run.save("last")
    yield Progress(run.step * config.batch_size, row["loss"], speed, row)
