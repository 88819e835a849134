"""The metrics of a run: metrics.jsonl, curves.png, and TensorBoard where it is installed."""

import io
import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from unhiss.atomic import atomic_write

MetricsRow = dict[str, float]
DRAW_EVERY_S = 10.0  # drawing takes a quarter of a second

# Colour-blind safe (Okabe and Ito), the same in every picture.
TRAIN, VALID, NOISY = "#0072B2", "#D55E00", "#999999"
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class MetricsLog:
    """The metrics of a run, a row an epoch; rows after the step it resumes from are deleted."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path, self.picture = folder / "metrics.jsonl", folder / "curves.png"
        self._drawn_s = -math.inf
        self.rows = [row for row in read_metrics(self.path) if row["step"] <= step]
        with atomic_write(self.path) as draft:
            draft.write_text("".join(f"{json.dumps(row)}\n" for row in self.rows), encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board: Any = SummaryWriter(str(folder), purge_step=step + 1)
        except ImportError:
            self.board = None

    def add(self, row: MetricsRow, last: bool) -> None:
        """Record an epoch. The picture of short epochs is drawn now and then, and of the last one always."""
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if last or time.monotonic() - self._drawn_s > DRAW_EVERY_S:
            with atomic_write(self.picture) as draft:
                draft.write_bytes(draw_curves(self.rows))
            self._drawn_s = time.monotonic()
        if self.board:
            for key in row.keys() - {"epoch", "step", "frames"}:
                self.board.add_scalar(key, row[key], int(row["step"]))
            self.board.flush()


def read_metrics(path: Path) -> list[MetricsRow]:
    """The rows of a metrics.jsonl; an incomplete last line, left by a crash, is ignored."""
    rows: list[MetricsRow] = []
    with suppress(json.JSONDecodeError):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            rows.append(json.loads(line))
    return rows


def training_hours(rows: list[MetricsRow]) -> list[float]:
    """Hours of training up to each row, without validation."""
    total, examples, hours = 0.0, 0.0, []
    for row in rows:
        total += (row["frames"] - examples) / max(1e-9, row["samples_per_second"]) / 3600
        examples = row["frames"]
        hours.append(total)
    return hours


def draw_curves(rows: list[MetricsRow]) -> bytes:
    """A PNG of the loss (logarithmic) and the SNR of one run against epochs."""
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in rows]
    best = min(rows, key=lambda row: row["valid_loss"])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, snr = figure.subplots(1, 2)
    loss.plot(epochs, [row["loss"] for row in rows], color=TRAIN, marker=".", label="training")
    loss.plot(epochs, [row["valid_loss"] for row in rows], color=VALID, marker=".", label="validation")
    circle = {"mfc": "none", "mec": VALID, "ms": 11, "label": f"best: {best['valid_loss']:.4g}"}
    loss.plot(best["epoch"], best["valid_loss"], "o", **circle)
    loss.set(xlabel="epoch", title="Loss")
    snr.plot(epochs, [row["valid_snr_db"] for row in rows], color=VALID, marker=".", label="denoised")
    # The mixtures never change, so this is one number; as a line over all epochs it is there after the first one too.
    snr.axhline(rows[-1]["valid_noisy_snr_db"], color=NOISY, ls="--", label="noisy")
    snr.set(xlabel="epoch", title="SNR in validation, dB")
    for axes in (loss, snr):
        axes.set_xlim(0, epochs[-1] * 1.05)
        axes.legend(frameon=False)
    return _png(figure, integers=(loss, snr), logarithmic=loss)


def draw_comparison(runs: dict[str, list[MetricsRow]]) -> bytes:
    """A PNG of the validation loss and SNR of several runs, against steps and against hours of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for number, (name, rows) in enumerate(runs.items()):
        style = ("-", "--", ":")[number // len(RUN_COLOURS) % 3]
        look = {"color": RUN_COLOURS[number % len(RUN_COLOURS)], "ls": style, "label": name}
        look["marker"] = "." if len(rows) < 50 else ""
        for column, x in enumerate(([row["step"] for row in rows], training_hours(rows))):
            for line, key in enumerate(("valid_loss", "valid_snr_db")):
                panels[line, column].plot(x, [row[key] for row in rows], **look)
    panels[0, 0].set(title="Validation loss")
    panels[1, 0].set(xlabel="step", title="SNR in validation, dB")
    panels[1, 1].set(xlabel="hours of training")
    panels[0, 1].legend(frameon=False)
    return _png(figure, integers=panels[1, :1], logarithmic=panels[0, 0])


def _png(figure: Any, integers: Any, logarithmic: Any) -> bytes:
    """The figure with a grid; x axes in `integers` have whole numbers, and one y axis is logarithmic if it can be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

    for axes in integers:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # A loss that counts SDR can be below zero, where a logarithmic axis shows nothing.
    if all(min(line.get_ydata(), default=1) > 0 for line in logarithmic.lines):
        logarithmic.set_yscale("log")
        # Ticks such as 0.05 instead of 5 × 10⁻²; a run seldom spans a whole power of ten.
        logarithmic.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 8)))
        logarithmic.yaxis.set_major_formatter(ScalarFormatter())
        logarithmic.yaxis.set_minor_formatter(NullFormatter())
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)  # type: ignore[no-untyped-call]
    return picture.getvalue()
