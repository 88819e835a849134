"""Word error rate: how many words a speech recogniser gets wrong after denoising."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np

from unhiss.dsp.resampling import resample
from unhiss.errors import ConfigError, need
from unhiss.score.metrics import UndefinedMetric
from unhiss.score.systems import function_identity, load_function

Recognise = Callable[[np.ndarray, int], str]  # (audio (T,) float32, rate) -> recognised text
RATE = 16_000  # Hz of pocketsphinx's model


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """load() returns the recogniser, in the process that needs it; identity changes when its results may."""

    load: Callable[[], Recognise]
    identity: str


def parse_recogniser(spec: str) -> Recogniser:
    """`pocketsphinx`, or `python:package.module:function` for a function (audio, rate) -> text.

    Raises MissingExtra without pocketsphinx, ConfigError for a function that cannot be imported.
    """
    if spec == "pocketsphinx":
        need("asr", "pocketsphinx")
        identity = f"pocketsphinx {version('pocketsphinx')}, each recording by itself"
        return Recogniser(load=_load_pocketsphinx, identity=identity)
    kind, _, path = spec.partition(":")
    if kind != "python" or not path:
        raise ConfigError(f"no recogniser {spec!r}; expected pocketsphinx or python:package.module:function")
    return Recogniser(load=partial(load_function, path), identity=function_identity(path))


def word_error_rate(hypothesis: str, reference: str) -> float:
    """Word substitutions, deletions and insertions per 100 words of the reference; can exceed 100.

    Case and punctuation are ignored. Raises UndefinedMetric for a reference without words.

    >>> word_error_rate("the cat sat mat", "The cat sat on the mat.")
    33.33333333333333
    """
    recognised, expected = tokenize(hypothesis), tokenize(reference)
    if not expected:
        raise UndefinedMetric("WER has no value: no reference text")
    distances = list(range(len(recognised) + 1))  # Levenshtein: from the empty reference to each prefix
    for i, word in enumerate(expected, 1):
        previous, distances = distances, [i]
        for j, other in enumerate(recognised, 1):
            distances.append(min(previous[j] + 1, distances[j - 1] + 1, previous[j - 1] + (word != other)))
    return 100 * (distances[-1] / len(expected))


def tokenize(text: str) -> list[str]:
    """The words in lower case, without punctuation; apostrophes inside words stay.

    >>> tokenize("Don't — “stop”, Zoë!")
    ["don't", 'stop', 'zoë']
    """
    normalised = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.findall(r"\w+(?:'\w+)*", normalised)


def _load_pocketsphinx() -> Recognise:
    """The English model of the package. Nothing is kept of the recording before, so the order does not matter."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(RATE), cmn="batch", loglevel="FATAL")

    def recognise(audio: np.ndarray, rate: int) -> str:
        samples = np.clip(resample(audio, rate, RATE) * 32768, -32768, 32767)
        decoder.reinit_feat()  # noise and mean levels, which a decoder carries from one recording to the next
        decoder.start_utt()
        decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    return recognise
