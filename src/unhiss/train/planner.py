"""Plans of whole batches, made in processes of their own where a GPU would wait for Python."""

import numpy as np

from unhiss.fleet.processes import WorkerSetup, start_workers
from unhiss.train.scenes import Scene, Scenes


class Planner:
    """`planner(rng, size)` draws the scenes of a batch: here, or with `processes` in one of them.

    Threads may call it at once; where scenes are drawn changes nothing.
    """

    def __init__(self, scenes: Scenes, processes: int) -> None:
        self.scenes = scenes
        setup = WorkerSetup(state=_same, args=(scenes,), preload=("unhiss.train.scenes",))
        self.run = start_workers(processes, setup) if processes else None

    def __call__(self, rng: np.random.Generator, size: int) -> list[Scene]:
        scenes: list[Scene] = self.run(_draw, (rng, size)) if self.run else _draw(self.scenes, rng, size)
        return scenes


def _same(scenes: Scenes) -> Scenes:
    return scenes


def _draw(scenes: Scenes, rng: np.random.Generator, size: int) -> list[Scene]:
    return [scenes.draw(rng) for _ in range(size)]
