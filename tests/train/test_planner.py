"""Scenes of a batch are drawn alike in this process and in others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from unhiss.config import Experiment
from unhiss.data.mixing import Mixer
from unhiss.data.store import Store
from unhiss.train.planner import Planner
from unhiss.train.scenes import Scene, Scenes


def described(scenes: list[Scene]) -> list[str]:
    """All that scenes hold, arrays with all their values."""
    with np.printoptions(threshold=10**6):
        return [repr(scene) for scene in scenes]


def test_processes_draw_what_this_process_draws_whichever_thread_asks(
    wide: Store, tiny: Callable[..., Experiment]
) -> None:
    experiment = tiny("small-long", "vary.speaker_share=0.6", "augment.gate=0.5")
    scenes = Scenes(Mixer(wide, "train", experiment.mixing), experiment, wide.rate, wide.rate)
    here, elsewhere = Planner(scenes, 0), Planner(scenes, 2)
    with ThreadPoolExecutor(3) as threads:
        drawn = list(threads.map(lambda seed: elsewhere(np.random.default_rng(seed), 5), range(6)))
    for seed, there in enumerate(drawn):
        assert described(there) == described(here(np.random.default_rng(seed), 5))
    assert described(drawn[0]) != described(drawn[1])
