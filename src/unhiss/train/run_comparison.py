"""Several runs compared on one page: curves, differing settings, and their output for the same samples."""

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
from unhiss.markup import Html, html_table
from unhiss.train import checkpoint
from unhiss.train.curves import MetricsRow, draw_comparison, read_metrics, training_hours
from unhiss.train.run_page import PAGE_FOLDER, STYLE, html_example, html_figure, sample_titles
from unhiss.train.samples import stored_steps

PAGE = Template((PAGE_FOLDER / "comparison.html").read_text(encoding="utf-8"))
HEAD = ["run", "experiment", "steps", "hours", "examples/s", "training loss", "validation loss", "at best", "SNR dB"]


@dataclass(frozen=True)
class FinishedRun:
    """A run read from disk. name: unique among the runs compared; rows: at least one."""

    folder: Path
    name: str
    rows: list[MetricsRow]

    @cached_property
    def settings(self) -> dict[str, str]:
        """Every setting as text, and the data set; from best.safetensors where last.safetensors was deleted."""
        last, best = self.folder / "last.safetensors", self.folder / "best.safetensors"
        path = best if best.is_file() and not last.is_file() else last
        metadata = checkpoint.load_metadata(path)
        settings = {key: str(value) for key, value in checkpoint.read_experiment(path, metadata).flat().items()}
        return settings | {"data set (SHA-256)": metadata["data"]["sha256"][:12]}

    @property
    def best(self) -> MetricsRow:
        return min(self.rows, key=lambda row: row["valid_loss"])

    @property
    def summary(self) -> str:
        """The run in one line, for the screen."""
        row, best = self.rows[-1], self.best
        return (
            f"{self.name}: step {row['step']:,}, {training_hours(self.rows)[-1]:.2f} h, validation loss"
            f" {row['valid_loss']:.5f} (best {best['valid_loss']:.5f} at step {best['step']:,}),"
            f" SNR {row['valid_noisy_snr_db']:.1f} -> {row['valid_snr_db']:.1f} dB"
        )


def find_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """The runs that the folders are or contain, sorted by name in each. Raises DataError where there is none."""
    unique: dict[Path, None] = {}
    for folder in folders:
        inner = sorted(path.parent for path in folder.glob("*/metrics.jsonl"))
        runs = [folder] if (folder / "metrics.jsonl").is_file() else inner
        if not runs:
            raise DataError(f"{folder} is not a run and contains none; expected metrics.jsonl in it or a folder below")
        unique |= dict.fromkeys(runs)
    metrics = {folder: rows for folder in unique if (rows := read_metrics(folder / "metrics.jsonl"))}
    if not metrics:
        raise DataError(f"no run in {', '.join(map(str, folders))} has reached its first validation; wait for it")
    names = [folder.resolve().name for folder in metrics]
    return [
        FinishedRun(folder, name if names.count(name) == 1 else str(folder), rows)
        for name, (folder, rows) in zip(names, metrics.items(), strict=True)
    ]


def write_page(runs: Sequence[FinishedRun], target: Path) -> None:
    """Write the page; its links to the runs are relative."""
    links = [html.escape(os.path.relpath(run.folder.resolve(), target.resolve().parent)) for run in runs]
    settings = [run.settings for run in runs]
    keys = [key for key in settings[0] if len({one.get(key) for one in settings}) > 1]
    rows = [[key, *(one.get(key, "–") for one in settings)] for key in keys]
    text = PAGE.substitute(
        style=STYLE, results=_results(runs, links), samples=_samples(runs, links),
        settings=html_table(["setting", *(run.name for run in runs)], rows, numeric_from=99) if rows else "none",
        curves=base64.b64encode(draw_comparison({run.name: run.rows for run in runs})).decode(),
    )  # fmt: skip
    with atomic_write(target) as draft:
        draft.write_text(text, encoding="utf-8")


def _results(runs: Sequence[FinishedRun], links: list[str]) -> str:
    """A row a run, the least validation loss in bold; losses of different kinds cannot be compared."""
    least = min(run.best["valid_loss"] for run in runs)
    rows = []
    for run, link in zip(runs, links, strict=True):
        row, best = run.rows[-1], run.best["valid_loss"]
        page = Html(f'<a href="{link}/index.html">{html.escape(run.name)}</a>')
        rows.append([
            page if (run.folder / "index.html").is_file() else run.name,
            run.settings["name"], f"{row['step']:,}", f"{training_hours(run.rows)[-1]:.2f}",
            f"{row['samples_per_second']:,.1f}", f"{row['loss']:.5f}", f"{row['valid_loss']:.5f}",
            Html(f"<b>{best:.5f}</b>") if best == least else f"{best:.5f}",
            f"{row['valid_noisy_snr_db']:.1f} → {row['valid_snr_db']:.1f}",
        ])  # fmt: skip
    return html_table(HEAD, rows, numeric_from=2)


def _samples(runs: Sequence[FinishedRun], links: list[str]) -> str:
    """For each example: noisy, the latest output of every run that has it, clean. Runs on one data set share them."""
    shared: dict[tuple[str, bytes], list[tuple[FinishedRun, str, int]]] = {}
    for run, link in zip(runs, links, strict=True):
        for number, title in enumerate(sample_titles(run.folder) if stored_steps(run.folder) else [], 1):
            audio = (run.folder / "samples" / f"{number}.noisy.flac").read_bytes()
            shared.setdefault((title, audio), []).append((run, f"{link}/samples", number))
    blocks = []
    for (title, _), entries in shared.items():
        outputs = []
        for run, folder, number in entries:
            last = stored_steps(run.folder)[-1]
            outputs.append(html_figure(f"{folder}/{last:06d}/{number}", f"{run.name}, step {last:,}"))
        blocks.append(html_example(*entries[0][1:], title, outputs))
    return "\n".join(["<h2>Samples</h2>", *blocks]) if blocks else ""
