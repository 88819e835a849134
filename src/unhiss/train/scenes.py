"""Scenes: what one training example is made of: who speaks when, which noises, in which room, recorded how."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRows
from unhiss.data.mixing import Mixer
from unhiss.dsp.audio import FULL_SCALE
from unhiss.errors import ConfigError
from unhiss.train.augmentation import intermittent_levels_db
from unhiss.train.degradations import lost_packets
from unhiss.train.pieces import Piece
from unhiss.train.voices import GAP_S, TURN_S, Turn, draw_turns

SHORT_S, LONG_S = 2.0, 4.0  # shorter noise is repeated with pauses; a clip's odds grow with its length up to LONG_S
PAUSE_S = 2.5  # between repetitions, at most
MORE_NOISE = 0.35  # chance of each noise beside the first
NOISE_LEVELS_DB = (-12.0, 0.0)  # of the noises beside the first
SNR_PEAK_DB = 5.0  # the likeliest SNR
QUIET_SHARE = 0.8  # of what a quiet person lacks is added to the SNR, so that this person can be heard at all
FILLED = 0.6  # chance that another person goes on where a clip ends early
VOICES, CHILD, CHILD_SPEED = (3, 8), 0.4, (1.2, 1.7)  # of babble
CEILING = (0.25, 0.9)  # of the peak, where a recording is clipped


@dataclass
class Scene:
    """The plan of an example; `scene_audio.render` makes its sound.

    speech, noise, babble: pieces of clips, speech at 0 dB; `noise` is of noise clips, at 0 dB in their mean, `babble`
    of speech clips, to be brought to 0 dB. turns: who speaks when. width_hz: where the recorded speech ends.
    """

    turns: list[Turn]
    width_hz: float
    speech: list[Piece]
    noise: list[Piece] = field(default_factory=list)
    babble: list[Piece] = field(default_factory=list)
    noise_db: float = 0.0  # level of the noise, re the speech
    gate_db: np.ndarray | None = None  # of the noise, where it is intermittent: `(milliseconds,)`
    received: np.ndarray | None = None  # where packets are lost: 0 or 1, `(milliseconds,)`
    room: int | None = None
    ceiling: float = np.inf  # of the peak
    level_dbfs: float = 0.0  # of the loudest speech, as far as full scale allows


class Clips:
    """What drawing needs to know of the clips of one role and split. Raises ConfigError if weights cannot be capped."""

    def __init__(self, rows: ManifestRows, weights: np.ndarray) -> None:
        self.lengths: list[int] = rows.column("length").tolist()
        self.widths_hz: list[float] = rows.column("bandwidth_hz").tolist()
        # Scaled as whole clips to an RMS of 1.
        self.gains: list[float] = (10 ** (-rows.column("level_dbfs") / 20) / FULL_SCALE).tolist()
        self.odds: list[float] = (np.cumsum(weights) / weights.sum()).tolist()

    def draw(self, rng: np.random.Generator) -> int:
        return min(bisect_left(self.odds, rng.random()), len(self.lengths) - 1)


def capped(weights: np.ndarray, names: list[str], share: float) -> np.ndarray:
    """Weights of which no name has more than `share`. Raises ConfigError where there are too few names for that."""
    names_of, inverse = np.unique(names, return_inverse=True)
    if share * len(names_of) < 1:
        raise ConfigError(
            f"vary.speaker_share = {share} with {len(names_of)} speakers; expected {1 / len(names_of):.3f} or more"
        )
    totals = np.bincount(inverse, weights)
    scale = np.ones(len(totals))
    for _ in range(50):  # each pass lowers the rest a little, so more names may reach the cap
        shares = totals * scale / (totals * scale).sum()
        if shares.max() <= share * 1.0001:
            break
        scale *= np.minimum(1, share / shares)
    return np.asarray(weights * scale[inverse])


def noise_weights(rows: ManifestRows, balance: float, rate: int) -> np.ndarray:
    """Odds of noise clips: fewer for kinds of many clips, fewer for short clips."""
    kinds = rows.names("kind")
    count = Counter(kinds)
    kind = np.array([count[name] ** -balance for name in kinds])
    return np.asarray(kind * np.minimum(1, rows.column("length") / (LONG_S * rate)))


class Scenes:
    """`draw(rng)` plans one scene by the settings of an experiment."""

    def __init__(self, mixer: Mixer, experiment: Experiment, rate: int, length: int) -> None:
        self.vary, self.augment, self.rate, self.length = experiment.vary, experiment.augment, rate, length
        lengths = mixer.speech.column("length").astype(np.float64)
        self.speech = Clips(mixer.speech, capped(lengths, mixer.speech.names("kind"), self.vary.speaker_share))
        self.noise = Clips(mixer.noise, noise_weights(mixer.noise, experiment.mixing.kind_balance, rate))

    def draw(self, rng: np.random.Generator) -> Scene:
        vary, augment = self.vary, self.augment
        scene = self._speech(rng)
        snr_db = min(vary.snr_db[1], self._snr_db(rng) - QUIET_SHARE * min(turn.level_db for turn in scene.turns))
        scene.noise_db = -snr_db
        if rng.random() < augment.babble:
            scene.babble = self._babble(rng)
        else:
            scene.noise = self._noises(rng)
        if rng.random() < augment.gate:
            scene.gate_db = intermittent_levels_db(rng, self.length / self.rate)
        kind = rng.random()
        if kind < vary.noise_only:
            scene.speech = []
        elif kind < vary.noise_only + vary.clean:
            scene.noise, scene.babble = [], []
        if rng.random() < augment.reverb:
            scene.room = int(rng.random() * vary.rooms)
        if rng.random() < vary.packet_loss:
            scene.received = lost_packets(rng, self.length / self.rate)
        if rng.random() < augment.clip:
            scene.ceiling = _uniform(rng, *CEILING)
        scene.level_dbfs = _uniform(rng, *vary.level_dbfs)
        return scene

    def _snr_db(self, rng: np.random.Generator) -> float:
        low, high = self.vary.snr_db
        return float(rng.triangular(low, min(max(SNR_PEAK_DB, low), high), high)) if low < high else low

    def _speech(self, rng: np.random.Generator) -> Scene:
        """One person or several, at 0 dB."""
        vary, people = self.vary, int(rng.integers(2, 4)) if rng.random() < self.vary.people else 1
        turns = draw_turns(rng, self.length, self.rate, people, vary.people_db)
        voices, width_hz = [self._voice(rng) for _ in range(3)], np.inf
        starts = [start for *_, start in voices]
        pieces, spoken = [], []
        while turns:
            turn = turns.pop(0)
            clip, speed, _ = voices[turn.person]
            piece = self._piece(clip, turn.first, turn.last, starts[turn.person], speed, turn.level_db)
            starts[turn.person] += round((piece.last - piece.first) * speed)
            width_hz = min(width_hz, self.speech.widths_hz[clip] * speed)
            pieces.append(piece)
            spoken.append(turn)
            next_first = piece.last + int(_uniform(rng, *GAP_S) * self.rate)
            if people == 1 and self.length - next_first > TURN_S[0] * self.rate and rng.random() < FILLED:
                # Another person goes on, at times at a distance.
                level_db = _uniform(rng, *vary.people_db) if rng.random() < vary.people else 0.0
                turns, people = [Turn(next_first, self.length, 1, level_db)], 2
        return Scene(spoken, float(width_hz), pieces)

    def _voice(self, rng: np.random.Generator) -> tuple[int, float, int]:
        """A clip, how fast it is played, and where it starts."""
        clip = self.speech.draw(rng)
        speed = _log_uniform(rng, *self.vary.speed) if rng.random() < self.vary.speed_share else 1.0
        spare = max(0, self.speech.lengths[clip] - int(self.length * speed))
        return clip, speed, int(rng.random() * (spare + 1))

    def _piece(self, clip: int, first: int, last: int, start: int, speed: float, level_db: float) -> Piece:
        """Speech from `start` of a clip on; it ends where the clip does."""
        last = min(last, first + max(0, int((self.speech.lengths[clip] - start) / speed)))
        return Piece(clip, first, last, start, speed, self.speech.gains[clip] * 10 ** (level_db / 20))

    def _noises(self, rng: np.random.Generator) -> list[Piece]:
        """One to `vary.noises` noises together."""
        count = 1 + int(rng.binomial(self.vary.noises - 1, MORE_NOISE))
        gains = [10 ** (_uniform(rng, *NOISE_LEVELS_DB) / 20) if number else 1.0 for number in range(count)]
        whole = sum(gain**2 for gain in gains) ** 0.5
        return [piece for gain in gains for piece in self._noise(rng, gain / whole)]

    def _noise(self, rng: np.random.Generator, gain: float) -> list[Piece]:
        """One noise: a stretch of a clip, or a short clip again and again; a very short one with pauses."""
        clip, most = self.noise.draw(rng), self.augment.noise_speed
        speed = _log_uniform(rng, 1 / (1 + most), 1 + most) if rng.random() < 0.5 else 1.0
        size, backwards = self.noise.lengths[clip], bool(rng.random() < self.vary.reverse)
        gain *= self.noise.gains[clip]
        spare = size - int(self.length * speed) - 1
        if spare >= 0:
            return [Piece(clip, 0, self.length, int(rng.random() * (spare + 1)), speed, gain, backwards)]
        pauses = PAUSE_S * self.rate if size < SHORT_S * self.rate else 0.0
        pieces, first, start = [], 0, int(rng.random() * size)
        while first < self.length:
            last = min(self.length, first + max(1, int((size - start) / speed)))
            pieces.append(Piece(clip, first, last, start, speed, gain, backwards))
            first, start = last + int(rng.random() * pauses), 0
        return pieces

    def _babble(self, rng: np.random.Generator) -> list[Piece]:
        """Several voices at once, some of them raised to a child's, each from somewhere on."""
        pieces = []
        for _ in range(rng.integers(*VOICES)):
            clip = self.speech.draw(rng)
            speed = _uniform(rng, *CHILD_SPEED) if rng.random() < CHILD else 1.0
            level_db, first = _uniform(rng, -12, 0), int(rng.random() * self.length)
            before = self._piece(clip, first, self.length, 0, speed, level_db)
            spare = max(0, self.speech.lengths[clip] - int(first * speed))
            pieces += [before, self._piece(clip, 0, first, int(rng.random() * (spare + 1)), speed, level_db)]
        return pieces


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """`rng.uniform` in a third of its time."""
    return low + (high - low) * float(rng.random())


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())
