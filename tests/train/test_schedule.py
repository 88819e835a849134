"""How far a run is, and its rate there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.settings import TrainConfig
from unhiss.train.loop import Run, train
from unhiss.train.schedule import learning_rate, position, progress

STEPS = TrainConfig(epochs=4, examples=64, batch_size=16, lr=1e-3, schedule="cosine", warmup_steps=2)  # 16 steps
CLOCK = replace(STEPS, minutes=10)


def test_a_run_ends_with_its_steps_or_with_its_minutes_whichever_comes_first() -> None:
    assert progress(STEPS, 4, 1e6) == 0.25, "no clock"
    assert progress(CLOCK, 4, 300) == 0.5
    assert progress(CLOCK, 12, 300) == 0.75
    assert progress(CLOCK, 1, 601) == progress(CLOCK, 16, 1) == 1


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    assert learning_rate(STEPS, 0, 0) == pytest.approx(0.5e-3)
    assert learning_rate(STEPS, 8, 0) == pytest.approx(0.505e-3)
    assert learning_rate(STEPS, 16, 0) == pytest.approx(1e-5)
    assert learning_rate(CLOCK, 4, 300) == pytest.approx(0.505e-3), "by the clock"
    assert learning_rate(replace(STEPS, schedule="constant"), 16, 0) == 1e-3


def test_a_position_is_told_in_what_the_run_is_measured_by() -> None:
    assert position(STEPS, 5, 90) == "step 5 of 16, epoch 2/4"
    assert position(STEPS, 16, 90) == "step 16 of 16, epoch 4/4"
    assert position(CLOCK, 5, 90) == "minute 1.5 of 10, step 5"


def test_minutes_below_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.minutes = -1; expected 0 or more"):
        TrainConfig(minutes=-1)


def test_a_run_that_its_clock_ends_goes_on_with_more_minutes(
    store: Store, tiny: Callable[..., Experiment], tmp_path: Path
) -> None:
    clocked = ("train.minutes=0.0001", "train.epochs=3")
    run = Run(tiny("rced", *clocked), store, tmp_path, torch.device("cpu"))
    rows = [progress.metrics for progress in train(run) if progress.metrics]
    assert run.progress() == 1 and run.step == 1, "6 ms: one step, of which a run makes at least one"
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 1)], "validated, in the epoch that it was in"
    longer = Run(tiny("rced", "train.minutes=10", "train.epochs=3"), store, tmp_path, torch.device("cpu"))
    longer.resume()
    for _ in train(longer):
        pass
    assert longer.step == 9, "all three epochs"
