"""Word error rates against jiwer, and custom recognisers."""

import sys

import jiwer
import numpy as np
import pytest

from unhiss.errors import ConfigError, MissingExtra
from unhiss.score.metrics import UndefinedMetric
from unhiss.score.recognition import parse_recogniser, tokenize, word_error_rate


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("the cat sat", "The cat sat.", 0.0),
        ("", "one two", 100.0),
        ("a b c d", "one", 400.0),  # one to change, three too many
        ("the cat on mat", "the cat sat on the mat", 100 * 2 / 6),
        ("dont stop", "Don’t stop!", 50.0),
    ],
)
def test_word_error_rates_of_hand_computed_cases(hypothesis, reference, expected):
    assert word_error_rate(hypothesis, reference) == pytest.approx(expected)


def test_word_error_rates_equal_those_of_jiwer(rng):
    for _ in range(50):
        hypothesis, reference = (" ".join(rng.choice(["a", "b", "c", "d"], rng.integers(1, 12))) for _ in range(2))
        assert word_error_rate(hypothesis, reference) == pytest.approx(100 * jiwer.wer(reference, hypothesis))


def test_a_reference_without_words_has_no_rate():
    with pytest.raises(UndefinedMetric, match="no reference text"):
        word_error_rate("something", " … ")


def test_words_of_other_scripts_are_words():
    assert tokenize("Привет, мир! Ça va? 東京") == ["привет", "мир", "ça", "va", "東京"]


def test_a_python_function_can_be_the_recogniser(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def hear(audio, rate):\n    return f'{len(audio)} at {rate}'\n")
    monkeypatch.chdir(tmp_path)
    recogniser = parse_recogniser("python:mine:hear")
    assert recogniser.load()(np.zeros(5), 8000) == "5 at 8000"
    before = recogniser.identity
    (tmp_path / "mine.py").write_text("def hear(audio, rate):\n    return 'other'\n")
    monkeypatch.delitem(sys.modules, "mine")
    assert parse_recogniser("python:mine:hear").identity != before


@pytest.mark.parametrize("spec", ["whisper", "python:", "cmd:x {in} {out}"])
def test_an_unknown_recogniser_is_refused(spec):
    with pytest.raises(ConfigError, match="expected pocketsphinx or python:"):
        parse_recogniser(spec)


def test_without_pocketsphinx_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unhiss\[asr\]'"):
        parse_recogniser("pocketsphinx")


def test_pocketsphinx_recognises_english_and_its_result_does_not_depend_on_earlier_recordings(recordings, rng):
    """Rows are scored in any order."""
    from unhiss.media.source import read

    clips = recordings / "cv-corpus-6.1-2020-12-11" / "en" / "clips"
    audio, rate = read(clips / "common_voice_en_171936.mp3")
    noisy = audio + 0.05 * np.abs(audio).max() * rng.standard_normal(audio.shape).astype(np.float32)
    recognise = parse_recogniser("pocketsphinx").load()
    first = [recognise(noisy, rate), recognise(audio, rate)]
    recognise(*read(clips / "common_voice_en_22050612.mp3"))
    recognise(0.5 * rng.standard_normal(8000).astype(np.float32), 16_000)
    assert [recognise(noisy, rate), recognise(audio, rate)] == first
    assert word_error_rate(first[1], "His name is Barry Baldwin.") < 60
