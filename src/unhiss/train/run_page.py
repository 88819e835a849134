"""What a run writes for people: metrics, samples, and RUN/index.html, a page that reloads itself during training."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template

from torch import nn

from unhiss.atomic import atomic_write
from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.markup import html_table
from unhiss.train.curves import MetricsLog, MetricsRow, training_hours
from unhiss.train.samples import Samples, stored_steps

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1d2026, #e4e6ea); --faint: light-dark(#667, #9aa);
  --line: light-dark(#dde0e6, #383c44); --paper: light-dark(#fff, #17191d); --mark: light-dark(#0072b2, #56b4e9) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem } a { color: var(--mark) }
p, small { color: var(--faint) } p b { color: var(--ink) } code { font-size: .92em }
img { width: 100%; display: block; border-radius: 4px } audio { width: 100%; height: 34px; margin-top: 4px }
progress { width: 100%; height: 6px; accent-color: var(--mark) }
.curves { background: #fff }
.example { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: 12px; margin-bottom: 1.2rem }
.example img { height: 150px } figure { margin: 0 } figcaption { color: var(--faint); font-size: .9em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right }
@media (max-width: 40rem) { .example { grid-auto-flow: row; grid-auto-columns: auto } .example img { height: 110px } }
th { font-weight: 500; color: var(--faint) } input[type=range] { width: 18rem; vertical-align: middle }
"""

ABOUT = "Validation mixtures, the same in every run on this data set. Pictures: all frequencies, 80 dB."

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>$name: $state</title>
<style>$style</style>
<h1>$name</h1>
<p>$status</p>
<progress value="$step" max="$total"></progress>
$curves
$samples
<h2>Settings</h2>
<details><summary>Settings that differ from the defaults, and the data</summary>
$settings</details>
<script>
const live = $live, stored = $stored, slider = document.querySelector("#step");
const denoised = [...document.querySelectorAll("[data-example]")];
const sounds = [...document.querySelectorAll("audio")];
function show(index) {
  const folder = "samples/" + String(stored[index]).padStart(6, "0") + "/";
  document.querySelector("#at").textContent = stored[index].toLocaleString("en");
  for (const part of denoised) {
    const time = part.currentTime, playing = part.paused === false;
    part.src = folder + part.dataset.example + (part.tagName === "IMG" ? ".png" : ".flac");
    if (playing) { part.currentTime = time; part.play(); }
  }
}
if (slider) slider.oninput = () => show(slider.value);
for (const sound of sounds) sound.onplay = () => sounds.forEach(other => other === sound || other.pause());
const busy = () => sounds.some(sound => !sound.paused) || (slider && slider.value < stored.length - 1);
if (live) setInterval(() => busy() || location.reload(), 20000);
</script></html>
""")


class RunPage:
    """The page of a run with its metrics and samples, written by the first process; the run itself reads none of it."""

    def __init__(self, folder: Path, store: Store, experiment: Experiment, step: int) -> None:
        self.folder, self.store, self.experiment = folder, store, experiment
        self.metrics = MetricsLog(folder, step)
        self.samples = Samples(folder, store, experiment, step) if experiment.train.samples_every_epochs else None
        self.write()

    def add(self, row: MetricsRow, model: nn.Module) -> None:
        """Record an epoch: its metrics, and what the model, in evaluation mode, makes of the samples."""
        self.metrics.add(row)
        config, step = self.experiment.train, int(row["step"])
        if self.samples and (row["epoch"] % config.samples_every_epochs == 0 or step == config.steps):
            self.samples.add(model, step, self.metrics.board)
        self.write()

    def write(self) -> None:
        """Write index.html. It refers to files beside it, so the folder can be moved or served."""
        rows, experiment = self.metrics.rows, self.experiment
        step, total, stored = int(rows[-1]["step"]) if rows else 0, experiment.train.steps, stored_steps(self.folder)
        defaults = Experiment().flat()
        settings = {key: str(value) for key, value in experiment.flat().items() if value != defaults[key]}
        settings["data"] = self.store.folder.name
        for name, part in sorted(self.store.settings.get("splits", {}).items()):
            settings[name] = f"{part['clips']:,} clips, {part['hours']:.2f} h"
        text = PAGE.substitute(
            name=html.escape(experiment.name), style=STYLE, status=_status(rows, experiment), step=step, total=total,
            state="done" if step == total else f"{step / total:.0%}", stored=stored, live=str(step < total).lower(),
            curves=f'<h2>Curves</h2>\n<img class="curves" src="curves.png?{step}" alt="Loss and SNR">' if rows else "",
            samples=_samples(self.folder, stored), settings=html_table([], list(settings.items()), numeric_from=9),
        )  # fmt: skip
        with atomic_write(self.folder / "index.html") as draft:
            draft.write_text(text, encoding="utf-8")


def _status(rows: list[MetricsRow], experiment: Experiment) -> str:
    """Position, time left, speed, loss and SNR of the run, in one line."""
    config = experiment.train
    if not rows:
        return f"The first validation comes after step {config.steps_per_epoch:,} of {config.steps:,}."
    row, best = rows[-1], min(rows, key=lambda row: row["valid_loss"])
    left_s = (config.steps * config.batch_size - row["frames"]) / max(1e-9, row["samples_per_second"])
    parts = [
        f"Epoch <b>{row['epoch']} of {config.epochs}</b>, step {row['step']:,} of {config.steps:,}",
        _duration(training_hours(rows)[-1] * 3600)
        + " of training"
        + (f", about <b>{_duration(left_s)}</b> to go" if left_s > 0 else ""),
        f"{row['samples_per_second']:,.0f} examples/s",
        f"validation loss <b>{row['valid_loss']:.4g}</b>, best {best['valid_loss']:.4g} at epoch {best['epoch']}",
        f"SNR {row['valid_noisy_snr_db']:.1f} → <b>{row['valid_snr_db']:.1f} dB</b>",
    ]
    return " · ".join(parts)


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
        figures = [html_figure(f"samples/{number}.noisy", f"noisy: {title}")]
        figures += [html_figure(f"samples/{stored[-1]:06d}/{number}", "denoised", number)] if stored else []
        figures += [html_figure(f"samples/{number}.clean", "clean")]
        blocks.append(f'<div class="example">{"".join(figures)}</div>')
    return head + "\n".join(blocks)
