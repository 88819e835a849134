"""Synthetic noise, computed from equations: seeded, free of any licence, and of any length.

On the command line: `--noise synth:wind,siren` or `synth:wind=120` for 120 clips of it.
Each kind is a function `(rng, n, rate) -> (n,)`; `make` scales all of them to a peak of -3 dBFS.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from unhiss.data.clips import Clip, group
from unhiss.data.synth.events import bang, clicks, keyboard, knocks, thuds
from unhiss.data.synth.machines import air_conditioner, drill, engine, hum, jackhammer
from unhiss.data.synth.music import music
from unhiss.data.synth.signals import alarm, car_horn, siren
from unhiss.data.synth.weather import breathing, coloured, rain, wind
from unhiss.errors import WrongCorpus, nearest

CLIPS_PER_KIND = 60
SECONDS = 6.0

# fmt: off
GENERATORS = (
    wind, rain, hum, siren, breathing, thuds, knocks, coloured,
    engine, drill, jackhammer, air_conditioner, car_horn, alarm, bang, keyboard, clicks, music,
)
# fmt: on
KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {kind.__name__: kind for kind in GENERATORS}


def make(kind: str, seed: int, rate: int, seconds: float = SECONDS) -> np.ndarray:
    """One clip of `kind`: float32 `(seconds * rate,)`, peak -3 dBFS, determined by the seed alone."""
    rng = np.random.default_rng([seed, *kind.encode()])
    audio = KINDS[kind](rng, int(seconds * rate), rate)
    audio = audio - audio.mean()
    scaled: np.ndarray = (audio * (10 ** (-3 / 20) / max(1e-9, float(np.abs(audio).max())))).astype(np.float32)
    return scaled


def is_synthetic(clip: Clip) -> bool:
    """Whether the samples of this clip come from `make`, and from no file."""
    return clip.corpus == "synth" and clip.path.parts[:-1] == ("synth", clip.kind) and clip.path.name.isdigit()


def clips(kinds: str) -> Iterator[Clip]:
    """Clips for `wind,siren=120,…`; their path `synth/KIND/SEED` has the arguments of `make`."""
    for item in kinds.split(","):
        kind, _, count = item.partition("=")
        if kind not in KINDS:
            raise WrongCorpus(f"no synthetic noise {kind!r}; {nearest(kind, list(KINDS))}")
        if count and not (count.isdecimal() and int(count)):
            raise WrongCorpus(f"synth:{item}: {count!r} is no number of clips; try synth:{kind}={CLIPS_PER_KIND}")
        for seed in range(int(count or CLIPS_PER_KIND)):
            yield Clip(
                path=Path("synth", kind, str(seed)), corpus="synth", role="noise", kind=kind,
                groups=(group("synth", kind, str(seed)),), flexible_split=True, licence="CC0",
                commercial_use=True, seconds=SECONDS,
            )  # fmt: skip
