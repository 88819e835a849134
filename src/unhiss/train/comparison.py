"""Runs beside each other on one page: their curves, the settings they differ in, what they make of the same samples."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template

from unhiss.atomic import atomic_write
from unhiss.errors import DataError
from unhiss.train import checkpoint, curves
from unhiss.train.curves import Row
from unhiss.train.samples import steps
from unhiss.train.shown import STYLE, figure, table, titles

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Runs</title>
<style>$style</style>
<h1>Runs</h1>
<p>Made by <code>unhiss runs</code>; run it again for what has been trained since.</p>
<div class="wide"><table>$results</table></div>
<h2>Curves</h2>
<img class="curves" src="data:image/png;base64,$curves" alt="Validation loss and SNR over steps and hours">
<h2>Settings that differ</h2>
<div class="wide"><table>$settings</table></div>
$samples
<script>
const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) sound.onplay = () => sounds.forEach(other => other === sound || other.pause());
</script></html>
""")
HEAD = ["run", "experiment", "steps", "hours", "examples/s", "training loss", "validation loss", "at best", "SNR dB"]


@dataclass(frozen=True)
class Trained:
    """A run as it lies on the disk: `name` tells it from the others, rows are one or more."""

    folder: Path
    name: str
    rows: list[Row]

    @cached_property
    def settings(self) -> dict[str, str]:
        """Every setting as text, and the data set; of a run that was tidied away, from its best weights."""
        last, best = (self.folder / f"{kind}.safetensors" for kind in ("last", "best"))
        path = best if best.is_file() and not last.is_file() else last
        notes = checkpoint.notes(path)
        found = {key: str(value) for key, value in checkpoint.experiment_of(path, notes).flat().items()}
        return found | {"data set (SHA-256)": notes["data"]["sha256"][:12]}

    @property
    def best(self) -> Row:
        return min(self.rows, key=lambda row: row["valid_loss"])

    @property
    def line(self) -> str:
        """The run in a line, for the screen."""
        row, best = self.rows[-1], self.best
        return (
            f"{self.name}: step {row['step']:,}, {curves.hours(self.rows)[-1]:.2f} h, validation loss"
            f" {row['valid_loss']:.5f} (best {best['valid_loss']:.5f} at step {best['step']:,}),"
            f" SNR {row['valid_noisy_snr_db']:.1f} -> {row['valid_snr_db']:.1f} dB"
        )


def find(folders: Sequence[Path]) -> list[Trained]:
    """The runs that the folders are or hold, those by name. Raises DataError where there is none."""
    found: dict[Path, None] = {}
    for folder in folders:
        here = (
            [folder]
            if (folder / "metrics.jsonl").is_file()
            else sorted(p.parent for p in folder.glob("*/metrics.jsonl"))
        )
        if not here:
            raise DataError(f"{folder} neither is nor holds a run; expected metrics.jsonl in it or one folder below")
        found |= dict.fromkeys(here)
    runs = [(folder, curves.read(folder / "metrics.jsonl")) for folder in found]
    runs = [(folder, rows) for folder, rows in runs if rows]
    if not runs:
        raise DataError(f"no run in {', '.join(map(str, folders))} has reached its first validation; wait for it")
    names = [folder.resolve().name for folder, _ in runs]
    return [
        Trained(folder, name if names.count(name) == 1 else str(folder), rows)
        for name, (folder, rows) in zip(names, runs, strict=True)
    ]


def write(runs: Sequence[Trained], target: Path) -> None:
    """The page, written beside and renamed; runs are linked from where it lies."""
    links = [os.path.relpath(run.folder.resolve(), target.resolve().parent) for run in runs]
    text = PAGE.substitute(
        style=STYLE, results=_results(runs, links), settings=_settings(runs), samples=_samples(runs, links),
        curves=base64.b64encode(curves.compare({run.name: run.rows for run in runs})).decode(),
    )  # fmt: skip
    with atomic_write(target) as draft:
        draft.write_text(text, encoding="utf-8")


def _results(runs: Sequence[Trained], links: list[str]) -> str:
    """A line a run, the least validation loss in bold; losses of different kinds cannot be compared."""
    least = min(run.best["valid_loss"] for run in runs)
    lines = []
    for run, link in zip(runs, links, strict=True):
        row, best = run.rows[-1], run.best["valid_loss"]
        page = f'<a href="{html.escape(link)}/index.html">{html.escape(run.name)}</a>'
        lines.append([
            page if (run.folder / "index.html").is_file() else run.name,
            run.settings["name"], f"{row['step']:,}", f"{curves.hours(run.rows)[-1]:.2f}",
            f"{row['samples_per_second']:,.1f}", f"{row['loss']:.5f}", f"{row['valid_loss']:.5f}",
            f"<b>{best:.5f}</b>" if best == least else f"{best:.5f}",
            f"{row['valid_noisy_snr_db']:.1f} → {row['valid_snr_db']:.1f}",
        ])  # fmt: skip
    return table(lines, HEAD, numbers=2)


def _settings(runs: Sequence[Trained]) -> str:
    every = [run.settings for run in runs]
    keys = [key for key in every[0] if len({one.get(key) for one in every}) > 1]
    rows = [[key, *(one.get(key, "–") for one in every)] for key in keys]
    return table(rows, ["setting", *(run.name for run in runs)]) if rows else table([["none"]])


def _samples(runs: Sequence[Trained], links: list[str]) -> str:
    """Noisy, each run's latest, clean; for each example that runs share, which are those on one data set."""
    shared: dict[tuple[str, bytes], list[tuple[Trained, str, int]]] = {}
    for run, link in zip(runs, links, strict=True):
        for number, title in enumerate(titles(run.folder) if steps(run.folder) else [], 1):
            sound = (run.folder / "samples" / f"{number}.noisy.flac").read_bytes()
            shared.setdefault((title, sound), []).append((run, f"{html.escape(link)}/samples", number))
    blocks = []
    for (title, _), heard in shared.items():
        place, number = heard[0][1:]
        parts = [figure(f"{place}/{number}.noisy", f"noisy: {title}")]
        for run, folder, own in heard:
            last = steps(run.folder)[-1]
            parts.append(figure(f"{folder}/{last:06d}/{own}", f"{run.name}, step {last:,}"))
        parts.append(figure(f"{place}/{number}.clean", "clean"))
        blocks.append(f'<div class="example">{"".join(parts)}</div>')
    return "\n".join(["<h2>Samples</h2>", *blocks]) if blocks else ""
