"""Music as background noise: chords, bass, a melody and drums in time with each other."""

from dataclasses import dataclass

import numpy as np

from unhiss.data.synth.acoustics import apply_acoustics
from unhiss.data.synth.blocks import convolve, exp_decay, harmonics, log_uniform, mix_levels, phases, shaped_noise

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))
PROGRESSIONS = ((0, 4, 5, 3), (0, 3, 4, 4), (5, 3, 0, 4), (0, 5, 1, 4), (0, 0, 3, 4), (0, 6, 5, 4), (1, 4, 0, 0))
CHORD_RHYTHMS = {True: ((0,), (0, 8)), False: ((0, 6, 8, 14), (0, 4, 8, 12), (2, 6, 10, 14), (0, 3, 6, 10, 12))}
BASS_RHYTHMS = ((0, 8), (0, 6, 8, 14), (0, 2, 4, 6, 8, 10, 12, 14), (0, 4, 8, 12))
DRUM_PATTERNS = (  # sixteenths of the bass drum, and of the snare
    ((0, 8), (4, 12)), ((0, 4, 8, 12), (4, 12)), ((0, 6, 10), (4, 12)), ((0, 3, 8, 11), (6, 14)), ((0,), (8,)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Voice:
    """An instrument: two spectra, of which the bright one fades into the dark one, and how a note starts and ends."""

    bright: np.ndarray  # complex harmonics
    dark: np.ndarray
    fade_s: float  # the bright part fades to 1/e in this time
    attack_s: float
    ring_s: float  # the whole note fades to 1/e in this time; long for blown or bowed instruments
    vibrato: float  # depth, relative to the pitch
    vibrato_hz: float
    chorus: float  # detuning of a second string or reed, relative to the pitch

    def play(self, rng: np.random.Generator, rate: int, hz: float, seconds: float) -> np.ndarray:
        """One note of `hz`, sustained for `seconds` and released."""
        t = np.arange(int((seconds + 0.12) * rate)) / rate
        most = int(0.45 * rate / hz / (1 + self.vibrato + self.chorus))
        swing = self.vibrato * np.minimum(1, t / 0.4) * np.sin(2 * np.pi * self.vibrato_hz * t + rng.uniform(0, 6.3))
        turns = np.cumsum(hz * (1 + swing)) / rate + rng.uniform(0, 1)
        sound = harmonics(turns, self.dark[:most]) + np.exp(-t / self.fade_s) * harmonics(turns, self.bright[:most])
        if self.chorus:
            sound += 0.7 * harmonics(turns * (1 + self.chorus), (self.dark + 0.4 * self.bright)[:most])
        rise = 1 - np.exp(-t / self.attack_s)
        result: np.ndarray = sound * rise * np.exp(-t / self.ring_s) * np.clip((seconds + 0.12 - t) / 0.12, 0, 1)
        return result


def _voice(rng: np.random.Generator, sustained: bool) -> Voice:
    """A random instrument: `sustained` as an organ, accordion, violin, wind or pad, else plucked or struck."""
    orders = np.arange(1, 101)
    turn = phases(rng, 100)
    even = np.where(orders % 2 == 0, rng.choice([0.15, 1, 1]), 1)  # weak in clarinets and pan pipes
    spread = rng.uniform(0.4, 1.2, 100) * even * turn
    formant = 1 + rng.uniform(0, 3) * np.exp(-(((orders - rng.uniform(2, 10)) / rng.uniform(1, 4)) ** 2))
    return Voice(
        bright=orders ** -rng.uniform(0.5, 1.5) * spread * formant,
        dark=orders ** -rng.uniform(1.3, 3) * spread * formant,
        fade_s=10.0 if sustained else log_uniform(rng, 0.04, 0.4),
        attack_s=log_uniform(rng, 0.01, 0.1) if sustained else log_uniform(rng, 0.0005, 0.004),
        ring_s=20.0 if sustained else log_uniform(rng, 0.15, 1.2),
        vibrato=rng.uniform(0, 0.012) * sustained,
        vibrato_hz=rng.uniform(4, 7),
        chorus=rng.choice([0, rng.uniform(0.001, 0.008)]),
    )


@dataclass(frozen=True, kw_only=True)
class Score:
    """What all parts share: pitch, pace and harmony; steps are sixteenths."""

    n: int
    rate: int
    key: int  # MIDI number of the tonic
    scale: tuple[int, ...]
    chords: tuple[int, ...]  # one degree a bar
    step_s: float
    offset: int  # steps before the clip begins
    swing: float  # delay of every second step, in steps

    @property
    def steps(self) -> range:
        return range(self.offset, self.offset + int(self.n / self.rate / self.step_s) + 1)

    def start(self, step: int) -> int:
        """First sample of a step."""
        return int((step - self.offset + self.swing * (step % 2)) * self.step_s * self.rate)

    def hz(self, degree: int, octave: int = 0) -> float:
        """Pitch of a degree of the scale; 7 is the tonic an octave above."""
        midi = self.key + self.scale[degree % 7] + 12 * (degree // 7 + octave)
        return float(440 * 2 ** ((midi - 69) / 12))

    def chord(self, step: int) -> tuple[int, int, int]:
        """Degrees of the triad of a step's bar."""
        root = self.chords[step // 16 % len(self.chords)]
        return root, root + 2, root + 4


def _put(out: np.ndarray, start: int, sound: np.ndarray) -> None:
    start = max(0, start)
    piece = sound[: max(0, out.size - start)]
    out[start : start + piece.size] += piece


def _chords(rng: np.random.Generator, score: Score, voice: Voice, sustained: bool) -> np.ndarray:
    """Triads sustained for a bar or half of one, or strummed in a rhythm."""
    out = np.zeros(score.n)
    rhythms = CHORD_RHYTHMS[sustained]
    rhythm = rhythms[rng.integers(len(rhythms))]
    strum_s = 0.0 if sustained else rng.uniform(0, 0.025)
    for step in score.steps:
        if step % 16 in rhythm or step == score.offset:
            after = [beat - step % 16 for beat in (*rhythm, 16) if beat > step % 16]
            for string, degree in enumerate(score.chord(step)):
                note = voice.play(rng, score.rate, score.hz(degree), after[0] * score.step_s)
                _put(out, score.start(step) + int(string * strum_s * score.rate), note * rng.uniform(0.7, 1))
    return out


def _arpeggio(rng: np.random.Generator, score: Score, voice: Voice) -> np.ndarray:
    """The notes of the chord one after the other."""
    out, pattern, each = np.zeros(score.n), rng.integers(0, 3, 8), int(rng.choice([1, 2, 2]))
    for step in score.steps[::each]:
        degree = score.chord(step)[pattern[step // each % 8]]
        note = voice.play(rng, score.rate, score.hz(degree, 1), each * score.step_s * 1.5)
        _put(out, score.start(step), note * rng.uniform(0.5, 1))
    return out


def _melody(rng: np.random.Generator, score: Score, voice: Voice) -> np.ndarray:
    """A random walk over the scale that returns to the chord on the beat."""
    out, step, degree = np.zeros(score.n), score.offset, int(rng.integers(0, 7))
    while step < score.steps.stop:
        length = int(rng.choice([1, 2, 2, 2, 4, 4, 6, 8]))
        chord = score.chord(step)
        degree = chord[int(rng.integers(3))] if step % 8 == 0 else int(np.clip(degree + rng.integers(-2, 3), -3, 10))
        if rng.random() < 0.85:
            note = voice.play(rng, score.rate, score.hz(degree, 1), length * score.step_s * rng.uniform(0.6, 1))
            _put(out, score.start(step), note * rng.uniform(0.6, 1))
        step += length
    return out


def _bass(rng: np.random.Generator, score: Score, voice: Voice) -> np.ndarray:
    out = np.zeros(score.n)
    rhythm = BASS_RHYTHMS[rng.integers(len(BASS_RHYTHMS))]
    for step in score.steps:
        if step % 16 in rhythm:
            degree = score.chord(step)[int(rng.choice([0, 0, 0, 2]))]
            _put(out, score.start(step), voice.play(rng, score.rate, score.hz(degree, -1), 2.5 * score.step_s))
    return out


def _drums(rng: np.random.Generator, score: Score) -> np.ndarray:
    """Bass drum, snare and hi-hat in the pattern of a bar, with a few random strokes."""
    rate, out = score.rate, np.zeros(score.n)
    t = np.arange(int(0.35 * rate)) / rate
    sweep = log_uniform(rng, 38, 75) * (t + rng.uniform(0.01, 0.04) * (1 - np.exp(-t / 0.02)) * 3)
    kick = np.sin(2 * np.pi * sweep) * np.exp(-t / log_uniform(rng, 0.04, 0.15))
    skin, top = log_uniform(rng, 140, 280), min(9000, 0.3 * rate)
    rattle = shaped_noise(rng, t.size, rate, lambda f: (f / 800) / (1 + (f / 2500) ** 1.5))
    rattle *= np.exp(-t / rng.uniform(0.03, 0.12))
    snare = 0.6 * np.sin(2 * np.pi * skin * t) * np.exp(-t / 0.05) + rng.uniform(0.1, 0.4) * rattle
    metal = shaped_noise(rng, t.size, rate, lambda f: (f / top) ** 3 / (1 + (f / top) ** 3))
    hat, wide = metal * np.exp(-t / rng.uniform(0.01, 0.05)), metal * np.exp(-t / 0.15)
    low, high = DRUM_PATTERNS[rng.integers(len(DRUM_PATTERNS))]
    every, loud = int(rng.choice([1, 2, 2, 4])), log_uniform(rng, 0.03, 0.35)
    for step in score.steps:
        beat = step % 16
        if beat in low or rng.random() < 0.03:
            _put(out, score.start(step), kick * rng.uniform(0.7, 1))
        if beat in high or rng.random() < 0.03:
            _put(out, score.start(step), snare * rng.uniform(0.5, 0.9))
        if step % every == 0:
            stroke = wide if rng.random() < 0.06 else hat
            _put(out, score.start(step), stroke * loud * (1.0 if beat % 4 == 0 else 0.6))
    return out


def music(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A band, one player or a radio: a random progression in one key, several instruments, mostly with drums."""
    score = Score(
        n=n, rate=rate, chords=PROGRESSIONS[rng.integers(len(PROGRESSIONS))], key=int(rng.integers(45, 58)),
        scale=SCALES[rng.integers(len(SCALES))], step_s=15 / rng.uniform(65, 170), offset=int(rng.integers(0, 64)),
        swing=rng.choice([0, 0, rng.uniform(0.1, 0.35)]),
    )  # fmt: skip
    sustained = rng.random() < 0.5
    lead = _melody(rng, score, _voice(rng, rng.random() < 0.6))
    if rng.random() < 0.2:  # one player
        parts = [(0.0, lead), (rng.uniform(-12, 0), _chords(rng, score, _voice(rng, sustained), sustained))]
    else:
        parts = [(rng.uniform(-10, 0), _chords(rng, score, _voice(rng, sustained), sustained))]
        if rng.random() < 0.6:
            parts.append((rng.uniform(-8, 3), lead))
        if rng.random() < 0.5:
            parts.append((rng.uniform(-10, 0), _arpeggio(rng, score, _voice(rng, False))))
        if rng.random() < 0.75:
            parts.append((rng.uniform(-6, 4), _bass(rng, score, _voice(rng, False))))
        if rng.random() < 0.75:
            parts.append((rng.uniform(-4, 8), _drums(rng, score)))
    out = np.tanh(mix_levels(parts) * log_uniform(rng, 0.1, 1))  # an amplifier with more or less distortion
    if rng.random() < 0.25:  # a small loudspeaker
        low, high = rng.uniform(150, 500), min(0.4 * rate, log_uniform(rng, 2500, 9000))
        cone = exp_decay(rate, 1 / (2 * np.pi * high)) / high * 1e3
        out = convolve(out, cone)
        bass = exp_decay(rate, 1 / (2 * np.pi * low))
        out = out - convolve(out, bass / bass.sum())
    return apply_acoustics(rng, rate, out, echo=0.7, noise=0.6)
