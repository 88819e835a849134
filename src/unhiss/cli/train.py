"""`unhiss train`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unhiss.cli.parameters import LocalPath, PathOrUrl
from unhiss.errors import ConfigError, need

if TYPE_CHECKING:
    from unhiss.train.loop import Run

STOPPING = "stopping after this step, which is saved (after an epoch: once it is validated); Ctrl-C again: at once"
EXAMPLES = """
\b
unhiss train configs/unet.toml --data dataset/ -o runs/unet
unhiss train configs/unet.toml --data dataset/ -o runs/unet --resume
unhiss train configs/unet.toml --data dataset/ -o runs/few train.epochs=5 train.batch_size=16
unhiss train configs/small.toml --data mine/ -o runs/mine --init small train.epochs=1 train.lr=2e-4
torchrun --nproc-per-node 2 -m unhiss train configs/small.toml --data dataset/ -o runs/small
"""


@click.command("train", epilog=EXAMPLES)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", required=True, type=PathOrUrl(), help="A set made by unhiss prepare, here or on s3://….")
@click.option("-o", "--output", required=True, type=LocalPath(path_type=Path), help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue from the run's last checkpoint.")
@click.option("--init", metavar="NAME|PATH", help="Start from these weights: an installed model's, or a checkpoint.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 …; auto: a GPU if there is one.")
def command(
    config: Path, overrides: tuple[str, ...], data: Path, output: Path, resume: bool, init: str | None, device: str
) -> None:
    """Train a model on a prepared data set.

    Writes best.safetensors (by validation), last.safetensors, and index.html, a page to keep open: curves,
    and samples to see and hear. Ctrl-C saves the current step and stops, a second Ctrl-C stops at once; a crash loses
    at most the steps since the last save. --resume continues.
    """
    need("train", "torch", "safetensors", "matplotlib")

    from unhiss.config import load
    from unhiss.data.store import Store
    from unhiss.train.checkpoint import load_weights
    from unhiss.train.device import pick_device
    from unhiss.train.distributed import end_process, join_group, leave_group, restarted
    from unhiss.train.loop import Run
    from unhiss.weights import find_checkpoint

    experiment, torch_device = load(config, overrides), pick_device(device)
    group = join_group(torch_device)
    resume = resume or (restarted() and (output / "last.safetensors").exists())
    _check(output, resume, init, experiment.causal.speech)
    run = Run(experiment, Store(data), output, torch_device, group)
    if resume:
        run.resume()
    elif init:
        load_weights(run.model, run.ema_model, find_checkpoint(init), experiment.model.kind, run.discriminator)
    output.mkdir(parents=True, exist_ok=True)
    if group.is_first:
        click.echo(_headline(run), err=True)
    try:
        _train(run)
    except KeyboardInterrupt:
        click.echo(f"stopped at step {run.step:,}; --resume goes on from step {run.saved_step:,}", err=True)
        raise
    leave_group(group)
    _conclude(run)
    end_process(group)


def _check(output: Path, resume: bool, init: str | None, speech: bool) -> None:
    """Refuse a folder that contains another run, and options that exclude each other."""
    if resume and init:
        raise ConfigError("--resume goes on with the run's own weights; leave --init out")
    if speech and not (resume or init):
        raise ConfigError("causal.speech = true trains the speech head of a denoiser; name its weights with --init")
    if not resume and (output / "last.safetensors").exists():
        raise ConfigError(f"{output} holds a run already; --resume goes on with it, or choose another -o")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file; choose a folder for the run")


def _train(run: Run) -> None:
    """Train. The first process shows a progress bar on a terminal, else a line a minute, and a line an epoch."""
    from unhiss.cli.heartbeat import heartbeat
    from unhiss.cli.terminal import ProgressBar, echo
    from unhiss.train.loop import train
    from unhiss.train.schedule import position

    config = run.experiment.train
    if not run.group.is_first:
        with run.stop.on_signals():
            for _ in train(run):
                pass
        return
    label = "training"
    whole = round(60 * config.minutes) or config.steps * config.batch_size
    unit = "s" if config.minutes else "examples"
    bar = ProgressBar(label, whole, unit=unit, done=round(run.progress() * whole))
    beat = heartbeat(lambda: f"{position(config, run.step, run.seconds)}  {label}", on=not bar.is_drawn)
    with run.stop.on_signals(STOPPING), bar, beat:
        for state in train(run):
            speed = f"{state.samples_per_second:,.0f} examples/s"
            label = f"loss {state.loss:.4f}  {speed}"
            bar.update(round(run.progress() * whole), label=label)
            if row := state.metrics:
                of = "" if config.minutes else f"/{config.epochs}"
                echo(
                    f"epoch {row['epoch']}{of}  loss {row['loss']:.5f}  valid {row['valid_loss']:.5f}  "
                    f"SNR {row['valid_noisy_snr_db']:.1f} -> {row['valid_snr_db']:.1f} dB  {speed}"
                )


def _conclude(run: Run) -> None:
    """Print what the run has made; end the program as the signal that stopped it would have."""
    if run.progress() == 1:
        if run.group.is_first:
            click.echo(f"best: {run.folder}/best.safetensors (validation loss {run.best:.5f})")
            click.echo(f"page: {run.folder}/index.html")
        return
    if run.group.is_first:
        click.echo(f"stopped at step {run.step:,}, which is saved; --resume goes on from there", err=True)
    if run.stop.signal == signal.SIGTERM:
        raise SystemExit(128 + signal.SIGTERM)
    raise KeyboardInterrupt


def _headline(run: Run) -> str:
    parameters = sum(p.numel() for p in run.model.parameters())
    config, precision = run.experiment.train, str(run.dtype).removeprefix("torch.")
    return (
        f"{run.experiment.name}: {parameters:,} parameters on {run.device} ({precision}), "
        f"{f'{config.minutes:g} minutes' if config.minutes else f'{config.steps:,} steps'}, from step {run.step:,}"
    )
