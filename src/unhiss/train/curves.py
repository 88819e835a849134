"""What a run writes down as it goes: metrics.jsonl, curves.png, and TensorBoard where that is installed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unhiss.atomic import atomic_write

Row = dict[str, float]

# Colour-blind safe (Okabe and Ito), the same in every picture.
TRAIN, VALID, NOISY = "#0072B2", "#D55E00", "#999999"
RUNS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Record:
    """The figures of a run, a row an epoch; those past the step it resumes from are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path, self.picture = folder / "metrics.jsonl", folder / "curves.png"
        self.rows = [row for row in read(self.path) if row["step"] <= step]
        with atomic_write(self.path) as draft:
            draft.write_text("".join(f"{json.dumps(row)}\n" for row in self.rows), encoding="utf-8")
        self.board = _board(folder, step)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        draw(self.rows, self.picture)
        if self.board:
            for key in row.keys() - {"epoch", "step", "frames"}:
                self.board.add_scalar(key, row[key], int(row["step"]))
            self.board.flush()


def read(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl; a last line that a crash cut short is left out."""
    return list(_rows(path.read_text(encoding="utf-8").splitlines())) if path.is_file() else []


def _rows(lines: list[str]) -> Iterator[Row]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def hours(rows: list[Row]) -> list[float]:
    """Hours of training behind each row, validation not counted."""
    spent, done, found = 0.0, 0.0, []
    for row in rows:
        spent += (row["frames"] - done) / max(1e-9, row["samples_per_second"]) / 3600
        done = row["frames"]
        found.append(spent)
    return found


def _board(folder: Path, step: int) -> Any:
    """A TensorBoard writer in `folder`, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def draw(rows: list[Row], path: Path) -> None:
    """Loss (logarithmic) and SNR against epochs, as a PNG, written beside and renamed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    best = min(rows, key=lambda row: row["valid_loss"])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    loss, snr = figure.subplots(1, 2)
    loss.plot(epochs, [row["loss"] for row in rows], color=TRAIN, marker=".", label="training")
    loss.plot(epochs, [row["valid_loss"] for row in rows], color=VALID, marker=".", label="validation")
    loss.plot(
        best["epoch"], best["valid_loss"], "o", mfc="none", mec=VALID, ms=11, label=f"best: {best['valid_loss']:.4g}"
    )
    loss.set(yscale="log", xlabel="epoch", title="Loss")
    _plain_numbers(loss)
    snr.plot(epochs, [row["valid_snr_db"] for row in rows], color=VALID, marker=".", label="cleaned")
    snr.plot(epochs, [row["valid_noisy_snr_db"] for row in rows], color=NOISY, ls="--", label="noisy")
    snr.set(xlabel="epoch", title="SNR in validation, dB")
    for axes in (loss, snr):
        axes.set_xlim(0, epochs[-1] * 1.05)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with atomic_write(path) as draft:
        canvas.print_png(str(draft))


def compare(runs: dict[str, list[Row]]) -> bytes:
    """A PNG of the validation loss and SNR of several runs, over steps and over hours of training."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for number, (name, rows) in enumerate(runs.items()):
        look = {"color": RUNS[number % len(RUNS)], "ls": ("-", "--", ":")[number // len(RUNS) % 3], "label": name}
        look["marker"] = "." if len(rows) < 50 else ""
        for column, places in enumerate(([row["step"] for row in rows], hours(rows))):
            for line, key in enumerate(("valid_loss", "valid_snr_db")):
                panels[line, column].plot(places, [row[key] for row in rows], **look)
    panels[0, 0].set(yscale="log", title="Validation loss")
    panels[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1, 0].set(xlabel="step", title="SNR in validation, dB")
    panels[1, 1].set(xlabel="hours of training")
    _plain_numbers(panels[0, 0])
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    panels[0, 1].legend(frameon=False)
    held = io.BytesIO()
    canvas.print_png(held)
    return held.getvalue()


def _plain_numbers(axes: Any) -> None:
    """A logarithmic scale written as 0.05, not as 5 × 10⁻²."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 8)))  # a run seldom spans a whole power of ten
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
