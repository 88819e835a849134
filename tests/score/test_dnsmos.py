"""DNSMOS against the speechmos package itself."""

import subprocess
import sys

import numpy as np
import pytest

from unhiss.errors import AudioError, MissingExtra
from unhiss.score import dnsmos

SAME = 1e-6  # the same float32 graph; only the number of threads differs


@pytest.fixture(scope="module")
def speechmos():
    """speechmos.dnsmos, imported late: it imports librosa."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of its imports
        return pytest.importorskip("speechmos.dnsmos")


@pytest.mark.filterwarnings("ignore")
# Doubled twice, doubled once (to 10 s and to 12.5 s), just long enough, and either side of a second window.
@pytest.mark.parametrize("length", [37_000, 80_001, 100_001, 144_160, 175_999, 176_000])
def test_p835_and_p808_equal_speechmos_for_any_length(speechmos, rng, length):
    audio = np.clip(0.1 * rng.standard_normal(length), -1, 1).astype(np.float32)
    audio *= np.sin(np.arange(length) / 3000) ** 2
    theirs = speechmos.run(audio, 16_000)
    ours = dnsmos.p835(audio, 16_000)
    expected = {name: theirs[f"{name}_mos"] for name in ("sig", "bak", "ovrl")}
    assert ours == pytest.approx(expected, abs=SAME)
    assert dnsmos.p808(audio, 16_000) == pytest.approx(float(theirs["p808_mos"]), abs=SAME)


def test_a_recording_one_sample_too_short_is_doubled():
    windows = [len(dnsmos._windows(np.ones(length), 16_000)) for length in (144_159, 144_160)]
    assert windows == [7, 1]  # nine starts; rounding makes two windows a sample too short, as in speechmos


def test_overall_is_the_ovrl_of_p835(rng):
    audio = 0.1 * rng.standard_normal(80_001)
    assert dnsmos.overall(audio, 16_000) == dnsmos.p835(audio, 16_000)["ovrl"]


def test_speechmos_and_librosa_are_never_imported():
    code = (
        "import sys, numpy; from unhiss.score.dnsmos import p808, p835;"
        "p835(numpy.zeros(80001, 'f'), 16000); p808(numpy.zeros(80001, 'f'), 16000);"
        "print(sorted({'speechmos', 'librosa', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_samples_beyond_full_scale_are_clipped_and_the_input_is_left_alone(rng):
    loud = 2 * rng.standard_normal(80_001).astype(np.float32)
    kept = loud.copy()
    assert dnsmos.p835(loud, 16_000) == dnsmos.p835(np.clip(loud, -1, 1), 16_000)
    np.testing.assert_array_equal(loud, kept)


@pytest.mark.parametrize(
    ("audio", "line"),
    [(np.zeros(0), "needs mono"), (np.zeros((2, 100)), "needs mono"), (np.array([np.nan, 0]), "has NaN")],
)
def test_empty_stereo_and_nan_are_refused(audio, line):
    with pytest.raises(AudioError, match=line):
        dnsmos.p835(audio, 16_000)


def test_without_speechmos_the_pip_line_is_given(monkeypatch):
    monkeypatch.setattr(dnsmos, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "speechmos", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unhiss\[eval\]'"):
        dnsmos.model_file()


def test_a_speechmos_without_its_model_is_named(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(dnsmos, "find_spec", lambda name: Spec)
    with pytest.raises(MissingExtra, match=r"sig_bak_ovr\.onnx is missing"):
        dnsmos.model_file()
