"""Scenes: the signals of one training example, before it is equalised: speech, its early part, and noise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRows
from unhiss.data.mixing import Mixer
from unhiss.data.store import Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.dsp.resampling import resample
from unhiss.errors import ConfigError
from unhiss.train.augmentation import intermittent_gains
from unhiss.train.degradations import lost_packets
from unhiss.train.early_rooms import Rooms
from unhiss.train.voices import GAP_S, TURN_S, Turn, draw_turns

FADE_S = 0.005  # at both ends of a turn
SHORT_S, LONG_S = 2.0, 4.0  # shorter noise is repeated with pauses; a clip's odds grow with its length up to LONG_S
PAUSE_S = 2.5  # between repetitions, at most
MORE_NOISE = 0.35  # chance of each noise beside the first
NOISE_LEVELS_DB = (-12.0, 0.0)  # of the noises beside the first
SNR_PEAK_DB = 5.0  # the likeliest SNR
QUIET_SHARE = 0.8  # of what a quiet person lacks is added to the SNR, so that this person can be heard at all
FILLED = 0.6  # chance that another person goes on where a clip ends early
VOICES, CHILD, CHILD_SPEED = (3, 8), 0.4, (1.2, 1.7)  # of babble
CEILING = (0.25, 0.9)  # of the peak, where a recording is clipped
DITHER_DBFS = -45.0  # quieter recordings get the rounding of 16 bits


@dataclass(frozen=True)
class Scene:
    """speech, early, noise: float32 `(length,)`, the speech as the microphone gets it and its part to be kept.

    early is speech itself where there is no room. turns: who speaks when. level: the RMS of the loudest active
    speech. width_hz: where the recorded speech ends.
    """

    speech: np.ndarray
    early: np.ndarray
    noise: np.ndarray
    turns: list[Turn]
    level: float
    width_hz: float


class Clips:
    """The clips of one role and split, read from a mapped store: `cut` one, `draw` one by its odds."""

    def __init__(self, store: Store, rows: ManifestRows, weights: np.ndarray) -> None:
        self.store, self.rows = store, list(rows)
        self.lengths, self.levels_dbfs = rows.column("length"), rows.column("level_dbfs")
        self.widths_hz = rows.column("bandwidth_hz")
        self.odds = np.cumsum(weights) / weights.sum()

    def draw(self, rng: np.random.Generator) -> int:
        return min(int(np.searchsorted(self.odds, rng.random())), len(self.rows) - 1)

    def cut(self, clip: int, start: int, length: int) -> np.ndarray:
        """float32 samples from `start` on, at most `length`, scaled as the whole clip to an RMS of 1."""
        samples = self.store.samples(self.rows[clip])[start : start + length]
        return samples * np.float32(10 ** (-self.levels_dbfs[clip] / 20) / FULL_SCALE)


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
    """`draw(rng)` makes one scene by the settings of an experiment."""

    def __init__(self, store: Store, mixer: Mixer, experiment: Experiment, length: int) -> None:
        self.vary, self.augment, self.rate, self.length = experiment.vary, experiment.augment, store.rate, length
        lengths = mixer.speech.column("length").astype(np.float64)
        self.speech = Clips(store, mixer.speech, capped(lengths, mixer.speech.names("kind"), self.vary.speaker_share))
        balance = experiment.mixing.kind_balance
        self.noise = Clips(store, mixer.noise, noise_weights(mixer.noise, balance, store.rate))
        reverb = experiment.augment.reverb
        self.rooms = Rooms(self.vary.rooms, length, store.rate, experiment.train.seed) if reverb else None

    def draw(self, rng: np.random.Generator) -> Scene:
        vary = self.vary
        speech, turns, width_hz = self._speech(rng)
        snr_db = min(vary.snr_db[1], self._snr_db(rng) - QUIET_SHARE * min(turn.level_db for turn in turns))
        noise = self._babble(rng) if rng.random() < self.augment.babble else self._noises(rng)
        noise = noise * np.float32(10 ** (-snr_db / 20))
        kind = rng.random()
        if kind < vary.noise_only:
            speech = np.zeros_like(speech)
        elif kind < vary.noise_only + vary.clean:
            noise = np.zeros_like(noise)
        early = speech
        if self.rooms and rng.random() < self.augment.reverb:
            speech, early, noise = self.rooms.reverberate(rng, speech, noise)
        if rng.random() < vary.packet_loss:
            received = lost_packets(rng, self.length, self.rate)
            speech, early, noise = speech * received, early * received, noise * received
        return self._recorded(rng, Scene(speech, early, noise, turns, 1.0, width_hz))

    def _snr_db(self, rng: np.random.Generator) -> float:
        low, high = self.vary.snr_db
        return float(rng.triangular(low, min(max(SNR_PEAK_DB, low), high), high)) if low < high else low

    def _speech(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Turn], float]:
        """Speech of one person or several at 0 dB, the turns, and where its band ends."""
        people = int(rng.integers(2, 4)) if rng.random() < self.vary.people else 1
        turns = draw_turns(rng, self.length, self.rate, people, self.vary.people_db)
        audio = np.zeros(self.length, np.float32)
        clips, width_hz = [self._voice(rng) for _ in range(3)], np.inf
        ends = [0] * len(clips)
        made: list[Turn] = []
        while turns:
            turn = turns.pop(0)
            clip, speed, first = clips[turn.person]
            piece, used = self._played(clip, first + ends[turn.person], turn.last - turn.first, speed)
            ends[turn.person] += used
            width_hz = min(width_hz, self.speech.widths_hz[clip] * speed)
            last = turn.first + piece.size
            audio[turn.first : last] = piece * np.float32(10 ** (turn.level_db / 20))
            made.append(turn)
            next_first = last + int(rng.uniform(*GAP_S) * self.rate)
            if people == 1 and self.length - next_first > TURN_S[0] * self.rate and rng.random() < FILLED:
                # Another person goes on, at times at a distance.
                level_db = rng.uniform(*self.vary.people_db) if rng.random() < self.vary.people else 0.0
                turns, people = [Turn(next_first, self.length, 1, float(level_db))], 2
        return audio, made, float(width_hz)

    def _voice(self, rng: np.random.Generator) -> tuple[int, float, int]:
        """A clip, how fast it is played, and where it starts."""
        clip = self.speech.draw(rng)
        speed = float(np.exp(rng.uniform(*np.log(self.vary.speed)))) if rng.random() < self.vary.speed_share else 1.0
        spare = max(0, self.speech.lengths[clip] - int(self.length * speed))
        return clip, speed, int(rng.random() * (spare + 1))

    def _played(self, clip: int, first: int, length: int, speed: float) -> tuple[np.ndarray, int]:
        """At most `length` samples of a clip from `first` on, played at another speed, and how many were used."""
        samples = self.speech.cut(clip, first, int(length * speed) + 1)
        fade = min(round(FADE_S * self.rate), samples.size // 2)
        piece = (resample(samples, round(self.rate * speed), self.rate, "LQ") if speed != 1 else samples)[:length]
        if fade:
            ramp = np.linspace(0, 1, fade, dtype=np.float32)
            piece = piece.copy()
            piece[:fade] *= ramp
            piece[-fade:] *= ramp[::-1]
        return piece, samples.size

    def _noises(self, rng: np.random.Generator) -> np.ndarray:
        """One to `vary.noises` noises together, at 0 dB in the mean of their clips."""
        count = 1 + int(rng.binomial(self.vary.noises - 1, MORE_NOISE))
        total, power = np.zeros(self.length, np.float32), 0.0
        for number in range(count):
            gain = 10 ** (rng.uniform(*NOISE_LEVELS_DB) / 20) if number else 1.0
            total += self._noise(rng) * np.float32(gain)
            power += gain**2
        return total / np.float32(np.sqrt(power))

    def _noise(self, rng: np.random.Generator) -> np.ndarray:
        clip, most = self.noise.draw(rng), np.log1p(self.augment.noise_speed)
        speed = float(np.exp(rng.uniform(-most, most))) if rng.random() < 0.5 else 1.0
        length, size = int(self.length * speed) + 1, int(self.noise.lengths[clip])
        if size >= length:
            audio = self.noise.cut(clip, int(rng.integers(size - length + 1)), length)
        else:
            audio = self._repeated(rng, self.noise.cut(clip, 0, size), length)
        if speed != 1:
            audio = resample(audio, round(self.rate * speed), self.rate, "QQ")
        audio = np.pad(audio, (0, max(0, self.length - audio.size)))[: self.length]
        if rng.random() < self.vary.reverse:
            audio = audio[::-1]
        if rng.random() < self.augment.gate:
            audio = audio * intermittent_gains(rng, self.length, self.rate)
        return audio

    def _repeated(self, rng: np.random.Generator, audio: np.ndarray, length: int) -> np.ndarray:
        """A clip again and again, from anywhere in it; a short one with pauses."""
        pauses = PAUSE_S * self.rate if audio.size < SHORT_S * self.rate else 0.0
        pieces, total = [audio[int(rng.integers(audio.size)) :]], 0
        total = pieces[0].size
        while total < length:
            pieces += [np.zeros(int(rng.random() * pauses), np.float32), audio]
            total += pieces[-1].size + pieces[-2].size
        return np.concatenate(pieces)[:length]

    def _babble(self, rng: np.random.Generator) -> np.ndarray:
        """Several voices at once, some of them raised to a child's, at 0 dB."""
        total = np.zeros(self.length, np.float32)
        for _ in range(rng.integers(*VOICES)):
            clip = self.speech.draw(rng)
            speed = float(rng.uniform(*CHILD_SPEED)) if rng.random() < CHILD else 1.0
            piece, _ = self._played(clip, 0, self.length, speed)
            gain = np.float32(10 ** (rng.uniform(-12, 0) / 20))
            total += gain * np.roll(np.pad(piece, (0, self.length - piece.size)), int(rng.integers(self.length)))
        return total / np.float32(max(1e-3, float(np.sqrt(np.mean(total**2)))))

    def _recorded(self, rng: np.random.Generator, scene: Scene) -> Scene:
        """The scene at its level, clipped in some cases, with the rounding of 16 bits where it is quiet."""
        level_dbfs = rng.uniform(*self.vary.level_dbfs)
        noisy = scene.speech + scene.noise
        peak, noise = max(1e-6, float(np.abs(noisy).max())), scene.noise
        if rng.random() < self.augment.clip:
            ceiling = peak * rng.uniform(*CEILING)
            noise = np.clip(noisy, -ceiling, ceiling) - scene.speech
        level = min(10 ** (level_dbfs / 20), 1 / peak)
        speech, early, noise = (audio * np.float32(level) for audio in (scene.speech, scene.early, noise))
        if level_dbfs < DITHER_DBFS:
            noise = noise + (rng.random(self.length, np.float32) - np.float32(0.5)) / np.float32(FULL_SCALE)
        early = speech if scene.early is scene.speech else early
        return replace(scene, speech=speech, early=early, noise=noise, level=level)
