"""Words: how many a recogniser gets wrong. Denoising that hurts recognition shows here and nowhere else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np

from unhiss.dsp.resampling import resample
from unhiss.errors import ConfigError, need
from unhiss.score.metrics import Undefined
from unhiss.score.systems import identity_of, load_function

Recognise = Callable[[np.ndarray, int], str]  # (audio (T,) float32, rate) -> what was said
RATE = 16_000  # of pocketsphinx's model
EXPECTED = "expected pocketsphinx or python:package.module:function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """load() gives the recogniser, in the process that needs it; identity changes when its answers may."""

    load: Callable[[], Recognise]
    identity: str


def recogniser(given: str) -> Recogniser:
    """`pocketsphinx`, or `python:package.module:function` for one of your own: (audio, rate) -> text.

    Raises MissingExtra without pocketsphinx, ConfigError for a function that cannot be found.
    """
    if given == "pocketsphinx":
        need("asr", "pocketsphinx")
        return Recogniser(load=_pocketsphinx, identity=f"pocketsphinx {version('pocketsphinx')}")
    kind, _, where = given.partition(":")
    if kind != "python" or not where:
        raise ConfigError(f"no recogniser {given!r}; {EXPECTED}")
    return Recogniser(load=partial(load_function, where), identity=identity_of(where))


def word_error_rate(said: str, reference: str) -> float:
    """Words to change, add or leave out to get from the reference to what was said, per 100 of the reference's.

    Capitals and punctuation do not count. Above 100 where much is made up. Undefined for a reference without words.

    >>> word_error_rate("the cat sat mat", "The cat sat on the mat.")
    33.33333333333333
    """
    heard, wanted = words(said), words(reference)
    if not wanted:
        raise Undefined("WER has no value: no reference text")
    line = list(range(len(heard) + 1))  # edits from no word of the reference to the first j words heard
    for i, word in enumerate(wanted, 1):
        above, line = line, [i]
        for j, other in enumerate(heard, 1):
            line.append(min(above[j] + 1, line[j - 1] + 1, above[j - 1] + (word != other)))
    return 100 * (line[-1] / len(wanted))


def words(text: str) -> list[str]:
    """Lower case, without punctuation; apostrophes inside words stay.

    >>> words("Don't — “stop”, Zoë!")
    ["don't", 'stop', 'zoë']
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.findall(r"\w+(?:'\w+)*", plain)


def _pocketsphinx() -> Recognise:
    """The English model inside the package. Each recording is normalised by itself, so their order does not matter."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(RATE), cmn="batch", loglevel="FATAL")

    def recognise(audio: np.ndarray, rate: int) -> str:
        whole = (np.clip(resample(audio, rate, RATE), -1, 1) * 32767).astype("<i2").tobytes()
        decoder.start_utt()
        decoder.process_raw(whole, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    return recognise
