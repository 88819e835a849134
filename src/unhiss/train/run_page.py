"""What a run writes for people: metrics, samples, and RUN/index.html, a page that reloads itself during training."""

import html
import json
import time
from importlib.resources import files
from pathlib import Path
from string import Template

from torch import nn

from unhiss.atomic import atomic_write
from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.markup import html_table
from unhiss.train.curves import MetricsLog, MetricsRow, training_hours
from unhiss.train.samples import Samples, stored_steps
from unhiss.train.schedule import position

PAGE_FOLDER = files("unhiss.train") / "page"
STYLE = (PAGE_FOLDER / "style.css").read_text(encoding="utf-8")
ABOUT = "Validation mixtures, the same in every run on this data set. Pictures: all frequencies, 80 dB."
LATE, LATE_S = 3, 120  # epochs, and seconds for validation, after which a run without news counts as ended
PAGE = Template((PAGE_FOLDER / "run.html").read_text(encoding="utf-8"))


class RunPage:
    """The page of a run with its metrics and samples, written by the first process; the run itself reads none of it."""

    def __init__(self, folder: Path, store: Store, experiment: Experiment, step: int) -> None:
        self.folder, self.store, self.experiment = folder, store, experiment
        self.metrics = MetricsLog(folder, step)
        self.samples = Samples(folder, store, experiment, step) if experiment.train.samples_every_epochs else None
        self.stopped_at: int | None = None
        self.progress = 0.0
        self.write()

    def add(self, row: MetricsRow, model: nn.Module, progress: float) -> None:
        """Record an epoch: its metrics, and what the model, in evaluation mode, makes of the samples."""
        config, step, self.progress = self.experiment.train, int(row["step"]), progress
        last = progress == 1
        self.metrics.add(row, last)
        if self.samples and (last or row["epoch"] % config.samples_every_epochs == 0):
            self.samples.add(model, step, self.metrics.board)
        self.write()

    def close(self, step: int, progress: float) -> None:
        """Say that the run has ended at `step`, unless that is its last."""
        if progress < 1:
            self.stopped_at = step
            self.write()

    def write(self) -> None:
        """Write index.html. It refers to files beside it, so the folder can be moved or served."""
        rows, experiment = self.metrics.rows, self.experiment
        validated = int(rows[-1]["step"]) if rows else 0
        stored, done = stored_steps(self.folder), self.progress
        state = "stopped" if self.stopped_at is not None else "done" if done == 1 else f"{done:.0%}"
        defaults = Experiment().flat()
        settings = {key: str(value) for key, value in experiment.flat().items() if value != defaults[key]}
        settings["data"] = self.store.folder.name
        for name, part in sorted(self.store.settings.get("splits", {}).items()):
            settings[name] = f"{part['clips']:,} clips, {part['hours']:.2f} h"
        curves = f'<h2>Curves</h2>\n<img class="curves" src="curves.png?{validated}" alt="Loss and SNR">'
        text = PAGE.substitute(
            name=html.escape(experiment.name), style=STYLE, status=_status(rows, experiment, self.stopped_at, done),
            done=f"{done:.4f}", state=state, stored=stored, live=str(done < 1).lower(),
            curves=curves if rows else "",
            samples=_samples(self.folder, stored), settings=html_table([], list(settings.items()), numeric_from=9),
        )  # fmt: skip
        with atomic_write(self.folder / "index.html") as draft:
            draft.write_text(text, encoding="utf-8")


def _status(rows: list[MetricsRow], experiment: Experiment, stopped_at: int | None, done: float) -> str:
    """Position, time left or the step it has stopped at, speed, loss and SNR of the run, in one line."""
    config = experiment.train
    stopped = "" if stopped_at is None else f"<b>stopped at step {stopped_at:,}</b>; --resume continues"
    if not rows:
        first = f"The first validation comes after step {config.steps_per_epoch:,} of {config.steps:,}."
        return f"{first} {stopped.capitalize()}".rstrip()
    row, best = rows[-1], min(rows, key=lambda row: row["valid_loss"])
    ahead, seconds = f", {stopped}" if stopped else _time_left(row, experiment, done), training_hours(rows)[-1] * 3600
    where = position(config, int(row["step"]), seconds, int(row["epoch"])).capitalize()
    return (
        f"{where} · {_duration(seconds)} of training{ahead}"
        f" · {row['samples_per_second']:,.0f} examples/s"
        f" · validation loss <b>{row['valid_loss']:.4g}</b>, best {best['valid_loss']:.4g} at epoch {best['epoch']}"
        f" · SNR {row['valid_noisy_snr_db']:.1f} → <b>{row['valid_snr_db']:.1f} dB</b>"
    )


def _time_left(row: MetricsRow, experiment: Experiment, done: float) -> str:
    """How long the run still takes. The page replaces it once the next epoch is late: a killed run writes no word."""
    config, speed = experiment.train, max(1e-9, row["samples_per_second"])
    left_s = (config.steps * config.batch_size - row["frames"]) / speed
    left_s = 60 * config.minutes * (1 - done) if config.minutes else left_s
    if left_s <= 0:
        return ""
    late = time.time() + LATE * config.steps_per_epoch * config.batch_size / speed + LATE_S
    return f', <span data-late="{late:.0f}">about <b>{_duration(left_s)}</b> to go</span>'


def _duration(seconds: float) -> str:
    if seconds < 7200:
        return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def sample_titles(folder: Path) -> list[str]:
    """The titles of a run's samples; empty if it has none."""
    path = folder / "samples" / "titles.json"
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def html_figure(source: str, caption: str, example: int | None = None) -> str:
    """A spectrogram above its player. source: without extension. example: the number the slider exchanges it by."""
    mark = f' data-example="{example}"' if example else ""
    return (
        f'<figure><figcaption>{html.escape(caption)}</figcaption><img src="{source}.png" alt="spectrogram"{mark}>'
        f'<audio controls preload="metadata" src="{source}.flac"{mark}></audio></figure>'
    )


def html_example(folder: str, number: int, title: str, outputs: list[str]) -> str:
    """The figures of an example's outputs between those of its noisy and its clean version."""
    noisy = html_figure(f"{folder}/{number}.noisy", f"noisy: {title}")
    clean = html_figure(f"{folder}/{number}.clean", "clean")
    return f'<div class="example">{noisy}{"".join(outputs)}{clean}</div>'


def _samples(folder: Path, stored: list[int]) -> str:
    """The examples, the latest output between noisy and clean, and a slider over the stored steps."""
    titles = sample_titles(folder)
    if not titles:
        return ""
    head = f"<h2>Samples</h2>\n<p>{ABOUT}</p>\n"
    if stored:
        last = len(stored) - 1
        slider = f'<input id="step" type="range" max="{last}" value="{last}" autocomplete="off"> '
        head += f'<p><label>denoised at step <b id="at">{stored[-1]:,}</b> {slider if last else ""}</label></p>\n'
    blocks = []
    for number, title in enumerate(titles, 1):
        outputs = [html_figure(f"samples/{step:06d}/{number}", "denoised", number) for step in stored[-1:]]
        blocks.append(html_example("samples", number, title, outputs))
    return head + "\n".join(blocks)
