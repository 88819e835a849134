"""Word error rates against jiwer, and recognisers that can be plugged in."""

import sys

import jiwer
import numpy as np
import pytest

from unhiss.errors import ConfigError, MissingExtra
from unhiss.score.metrics import Undefined
from unhiss.score.words import recogniser, word_error_rate, words


@pytest.mark.parametrize(
    ("said", "reference", "expected"),
    [
        ("the cat sat", "The cat sat.", 0.0),
        ("", "one two", 100.0),
        ("a b c d", "one", 400.0),  # one to change, three too many
        ("the cat on mat", "the cat sat on the mat", 100 * 2 / 6),
        ("dont stop", "Don’t stop!", 50.0),
    ],
)
def test_word_error_rates_of_hand_computed_cases(said, reference, expected):
    assert word_error_rate(said, reference) == pytest.approx(expected)


def test_word_error_rates_equal_those_of_jiwer(rng):
    for _ in range(50):
        said, reference = (" ".join(rng.choice(["a", "b", "c", "d"], rng.integers(1, 12))) for _ in range(2))
        assert word_error_rate(said, reference) == pytest.approx(100 * jiwer.wer(reference, said))


def test_a_reference_without_words_has_no_rate():
    with pytest.raises(Undefined, match="no reference text"):
        word_error_rate("something", " … ")


def test_words_of_other_scripts_are_words():
    assert words("Привет, мир! Ça va? 東京") == ["привет", "мир", "ça", "va", "東京"]


def test_a_recogniser_of_ones_own_is_a_python_function(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def hear(audio, rate):\n    return f'{len(audio)} at {rate}'\n")
    monkeypatch.chdir(tmp_path)
    made = recogniser("python:mine:hear")
    assert made.load()(np.zeros(5), 8000) == "5 at 8000"
    before = made.identity
    (tmp_path / "mine.py").write_text("def hear(audio, rate):\n    return 'other'\n")
    monkeypatch.delitem(sys.modules, "mine")
    assert recogniser("python:mine:hear").identity != before


@pytest.mark.parametrize("given", ["whisper", "python:", "cmd:x {in} {out}"])
def test_what_is_no_recogniser_is_refused(given):
    with pytest.raises(ConfigError, match="expected pocketsphinx or python:"):
        recogniser(given)


def test_without_pocketsphinx_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unhiss\[asr\]'"):
        recogniser("pocketsphinx")


def test_pocketsphinx_hears_english_whatever_came_before(data):
    """The answer to a recording does not depend on those before it: rows come in any order."""
    from unhiss.dsp.resampling import resample
    from unhiss.media.source import read

    clip = next((data / "cv-corpus-6.1-2020-12-11" / "en" / "clips").glob("*_75331.mp3"))
    audio = resample(*read(clip), 16_000)
    hear = recogniser("pocketsphinx").load()
    first = hear(audio, 16_000)
    hear(0.5 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32), 16_000)
    assert hear(audio, 16_000) == first
    assert word_error_rate(first, "The end of the cylinder was still as Ogilvy and Henderson had left it.") < 60
