"""metrics.jsonl, curves.png, and TensorBoard where it is installed."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unhiss.train.curves import MetricsLog, draw_curves, read_metrics


def row(epoch: int, loss: float = 0.1) -> dict[str, float]:
    return {
        "epoch": epoch, "step": epoch * 10, "frames": epoch * 640, "loss": loss, "lr": 1e-3,
        "valid_loss": loss * 1.1, "valid_snr_db": 5.0 + epoch, "valid_noisy_snr_db": 4.0,
    }  # fmt: skip


def test_the_log_keeps_rows_up_to_the_step_it_resumes_from(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for epoch in (1, 2, 3):
        log.add(row(epoch), last=False)
    MetricsLog(tmp_path, 20).add(row(3, 0.05), last=True)
    assert read_metrics(tmp_path / "metrics.jsonl") == [row(1), row(2), row(3, 0.05)]


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row(1)) + '\n{"epoch": 2, "st')
    MetricsLog(tmp_path, 20).add(row(2), last=True)
    assert read_metrics(tmp_path / "metrics.jsonl") == [row(1), row(2)]


def test_the_picture_is_drawn_for_the_first_row_the_last_and_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((100.0, 100.0, 105.0, 111.0, 111.0, 112.0))  # read to compare, and read again once it is drawn
    monkeypatch.setattr("unhiss.train.curves.time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    log = MetricsLog(tmp_path, 0)
    seen: set[bytes] = set()
    for epoch, drawn in ((1, True), (2, False), (3, True), (4, True)):
        log.add(row(epoch, 0.1 / epoch), last=epoch == 4)
        before = len(seen)
        seen.add((tmp_path / "curves.png").read_bytes())
        assert (len(seen) > before) == drawn, epoch
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.size == (900, 360)
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10  # more than empty axes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_a_long_run_is_drawn_too() -> None:
    assert len(draw_curves([row(epoch, 0.5 / epoch) for epoch in range(1, 200)])) > 5000


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_noisy_line_of_the_legend_is_in_the_chart_from_the_first_epoch_on(epochs: int) -> None:
    picture = Image.open(io.BytesIO(draw_curves([row(epoch) for epoch in range(1, epochs + 1)])))
    grey = np.all(
        np.asarray(picture.convert("RGB")) == (0x99, 0x99, 0x99), axis=2
    )  # only the noisy line is of this grey
    columns = np.flatnonzero(grey.any(axis=0))
    assert columns.min() < 500 and columns.max() > 880  # from side to side of the right panel
    assert columns.size > 150  # the legend's own mark is 30 pixels wide


@pytest.mark.parametrize("losses", [(0.3, 0.2, 0.1), (0.1, -0.1, -0.3), (-0.1, -0.2, -0.3)])
def test_the_loss_is_drawn_over_all_epochs_also_below_zero(losses: tuple[float, ...]) -> None:
    picture = Image.open(io.BytesIO(draw_curves([row(epoch, loss) for epoch, loss in enumerate(losses, 1)])))
    blue = np.all(np.asarray(picture.convert("RGB")) == (0x00, 0x72, 0xB2), axis=2)  # training
    assert np.flatnonzero(blue.any(axis=0)).size > 150  # from epoch 1 to 3; the legend's mark has 30 pixels


class Writer:
    """Stands in for tensorboard's SummaryWriter."""

    instances: list[Writer] = []  # noqa: RUF012

    def __init__(self, folder: str, purge_step: int) -> None:
        self.purge_step, self.flushed = purge_step, 0
        self.scalars: list[tuple[str, float, int]] = []
        Writer.instances.append(self)

    def add_scalar(self, key: str, value: float, step: int) -> None:
        self.scalars.append((key, value, step))

    def flush(self) -> None:
        self.flushed += 1


def test_tensorboard_gets_every_metric_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    MetricsLog(tmp_path, 10).add(row(2), last=False)
    (writer,) = Writer.instances
    assert writer.purge_step == 11
    assert ("valid_loss", row(2)["valid_loss"], 20) in writer.scalars
    assert {key for key, *_ in writer.scalars} == row(2).keys() - {"epoch", "step", "frames"}
    assert writer.flushed == 1


def test_a_run_works_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # makes its import fail
    log = MetricsLog(tmp_path, 0)
    log.add(row(1), last=True)
    assert log.board is None
