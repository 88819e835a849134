"""How far a run is, and its learning rate there."""

import math

from unhiss.settings import TrainConfig

LEAST = 0.01  # of the rate, at the end of `cosine`


def progress(config: TrainConfig, step: int, seconds: float) -> float:
    """Share of the run that is done, 0 to 1: of its steps, or of its minutes, whichever is more."""
    by_clock = seconds / (60 * config.minutes) if config.minutes else 0.0
    return min(1.0, max(by_clock, step / config.steps))


def learning_rate(config: TrainConfig, step: int, seconds: float) -> float:
    """Linear warm-up times a constant or half a cosine."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "cosine":
        rate *= LEAST + (1 - LEAST) * (0.5 + 0.5 * math.cos(math.pi * progress(config, step, seconds)))
    return rate


def position(config: TrainConfig, step: int, seconds: float, epoch: int | None = None) -> str:
    """Where a run is, in words; epoch: the one it is in, if not given."""
    if config.minutes:
        return f"minute {seconds / 60:.1f} of {config.minutes:g}, step {step:,}"
    epoch = epoch or min(config.epochs, step // config.steps_per_epoch + 1)
    return f"step {step:,} of {config.steps:,}, epoch {epoch}/{config.epochs}"
