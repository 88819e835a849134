"""For any input file, `unhiss denoise` writes the same file, denoised, or exactly one clear error line.

The inputs are those of any_inputs.py; the reference is what soundfile alone reads of them.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import any_inputs
import numpy as np
import pytest
import soundfile as sf
from any_inputs import RATES, Case, Decoded, decode, is_one_of, make
from hypothesis import given, settings
from hypothesis import strategies as st

import unhiss
from unhiss.cli import main
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
SOURCE = Path(__file__).parent.parent.parent / "src"
ROUND_OFF = 1e-5  # of other orders of float32 sums
PATIENCE_S = 60  # far longer than any case takes: a case that is not done by then hangs
# Whole recordings that unhiss may refuse: what libsndfile writes of them it does not read back as it was.
REFUSED = ("RAW", "SD2", "SDS", "VOC")

# Relative error that resampling may add to the same audio, above the error of its coding.
NEAR = {"square": 0.2, "clipped": 0.1}  # their corners lie above the band of the rate that is resampled to
NEARER = 0.02
QUIET = 1e-3  # A-law's smallest step

ALL = list(any_inputs.cases())
SAMPLE = any_inputs.spanning(ALL, 40)


@pytest.fixture
def check_case(
    tmp_path: Path, causal_model: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[Case], str]:
    """Runs `unhiss denoise` on a case, asserts what holds for every case, and returns the error line, if any."""
    monkeypatch.chdir(tmp_path)
    model = causal_model()

    def run(case: Case) -> str:
        path = make(case, tmp_path)
        target = Path(f"b{path.suffix}")
        before, truth = path.read_bytes(), decode(path)
        words = ["unhiss", "denoise", path.name, "-o", str(target), "--model", str(model), "--threads", "1"]
        monkeypatch.setattr(sys, "argv", words)
        capfd.readouterr()
        with time_limit(PATIENCE_S), pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        assert path.read_bytes() == before
        there = {found.name for found in tmp_path.rglob("*")} - {path.name, f"._{path.name}"}  # SD2's second file
        if end.value.code:
            check_refusal(int(end.value.code), err, path, target)
            assert not out
            assert not there
            assert not must_work(case, truth), err
        else:
            assert there == {target.name}
            found = decode(target)
            assert found is not None
            if case.damage == "cut":
                truth = what_is_left(case, tmp_path, truth, found.samples.shape[1])
            check_output(case, truth, found)
        return err

    return run


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Within, a SIGALRM ends what takes longer; SIGTERM's handler, which the command sets, is given back."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"not through after {seconds} s")

    kept = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGALRM, hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, kept[0])
        signal.signal(signal.SIGALRM, kept[1])


def check_refusal(code: int, err: str, *named: Path) -> None:
    """One line, of unhiss, that names a file; for an ending that no format has, that of a wrong option."""
    if code == 2:
        assert f"Error: {named[1]}: unhiss writes no {named[1].suffix} files" in err
        return
    assert code == 1, err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("unhiss: "), err
    assert any(path.name in err for path in named), err


def must_work(case: Case, truth: Decoded | None) -> bool:
    """A whole recording of finite samples is no reason for a refusal."""
    refused = is_one_of((case.format, case.subtype), REFUSED)
    sound = truth is not None and truth.complete and bool(np.isfinite(truth.samples).all())
    return sound and case.damage == "whole" and not refused


def what_is_left(case: Case, folder: Path, read: Decoded | None, length: int) -> Decoded:
    """The first `length` samples of a recording that was cut; libsndfile may find fewer in what is left of the file."""
    (folder / "whole").mkdir()
    whole = decode(make(replace(case, damage="whole"), folder / "whole"))
    assert whole is not None
    assert (read.samples.shape[1] if read else 1) <= length <= whole.samples.shape[1]
    return replace(whole, samples=whole.samples[:, :length])


def check_output(case: Case, before: Decoded | None, after: Decoded) -> None:
    """The same file: coding, rate, channels, length; and, as the model changes nothing, the same sound."""
    assert before is not None
    assert before.complete or before.format == "MP3"  # whose header only estimates; of another nothing may be missing
    assert (after.format, after.subtype) == (before.format, before.subtype)
    assert (after.rate, after.samples.shape) == (before.rate, before.samples.shape)
    assert np.isfinite(after.samples).all()
    if case.damage != "random" and before.samples.shape[1] > 4000:  # shorter is mostly the edges of the resampling
        near = NEAR.get(case.content, NEARER) * level(before.samples) + 4 * loss(case, before) + QUIET
        assert level(after.samples - before.samples) <= near


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


def loss(case: Case, before: Decoded) -> float:
    """The error that coding alone makes, as soundfile encodes."""
    buffer = io.BytesIO()
    buffer.name = f"a.{before.format.lower()}"
    sf.write(buffer, 0.99 * before.samples.T, before.rate, before.subtype, format=before.format)
    buffer.seek(0)
    coded = sf.read(buffer, dtype="float32", always_2d=True)[0].T
    return level(coded[:, : before.samples.shape[1]] - 0.99 * before.samples[:, : coded.shape[1]])


@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_it_ends_in_the_same_file_or_one_line(case: Case, check_case: Callable[[Case], str]) -> None:
    check_case(case)


@pytest.mark.soak
@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_input_ends_in_the_same_file_or_one_line(case: Case, check_case: Callable[[Case], str]) -> None:
    check_case(case)


def test_there_are_hundreds_of_inputs_and_the_sample_spans_them() -> None:
    assert len(ALL) >= 300
    single = {facet for case in ALL for facet in case.facets if not isinstance(facet, tuple)}
    missing = single - {facet for case in SAMPLE for facet in case.facets}
    assert {facet for facet in missing if not isinstance(facet, str)} == set()
    assert {name for name in missing if name in sf.available_formats()} == set()


WHOLE = Case(900, "WAV", "PCM_24", 44100, 2, 4999, "speech", "whole")
CUT = Case(901, "FLAC", "PCM_16", 48000, 2, 4999, "speech", "cut")
RANDOM = Case(902, "MP3", "MPEG_LAYER_III", 44100, 2, 4999, "speech", "random")


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize("case", [WHOLE, CUT, RANDOM], ids=str)
def test_a_separate_process_ends_in_the_same_way(case: Case, pipe: bool, tmp_path: Path, causal_model: Make) -> None:
    path, target = make(case, tmp_path), tmp_path / "out" / f"b.{'wav' if pipe else case.extension}"
    target.parent.mkdir()
    words = ["-", "-o", "-"] if pipe else [path, "-o", target]
    call = [sys.executable, "-m", "unhiss", "denoise", *words, "--model", causal_model(), "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}
    content = path.read_bytes() if pipe else b""
    done = subprocess.run(call, input=content, capture_output=True, env=environment, timeout=PATIENCE_S)
    if done.returncode:
        assert case is not WHOLE
        check_refusal(done.returncode, done.stderr.decode(), Path("stdin") if pipe else path)
        assert not done.stdout
        assert not list(target.parent.iterdir())
        return
    if pipe:
        target.write_bytes(done.stdout)
    truth, found = decode(path), decode(target)
    assert truth and found
    assert (found.rate, found.samples.shape) == (truth.rate, truth.samples.shape)
    assert [file.name for file in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("extension", "subtype"),
    [
        ("wav", "PCM_U8"), ("wav", "PCM_16"), ("flac", "PCM_24"), ("caf", "ALAC_16"), ("ogg", "VORBIS"),
        ("wav", "ULAW"), ("wav", "ALAW"), ("wav", "IMA_ADPCM"), ("wav", "MS_ADPCM"), ("wav", "GSM610"),
        ("au", "G721_32"), ("paf", "PCM_24"),
    ],
)  # fmt: skip
def test_a_peak_above_full_scale_is_clipped_and_does_not_wrap_around(
    extension: str, subtype: str, tmp_path: Path, causal_model: Make
) -> None:
    tone = 0.9 * np.sin(2 * np.pi * 200 * np.arange(8000) / 16000)
    sf.write(tmp_path / f"a.{extension}", tone, 16000, subtype)
    model = causal_model("gain", 1.5)  # its output reaches 1.35
    unhiss.denoise_file(tmp_path / f"a.{extension}", tmp_path / f"b.{extension}", model=model)
    found = decode(tmp_path / f"b.{extension}")
    assert found and found.subtype == subtype
    loud = np.flatnonzero(np.abs(tone) > 0.7)  # over full scale from 0.67 on
    assert (np.sign(found.samples[0, loud]) == np.sign(tone[loud])).mean() > 0.99


SIGNALS = ("silence", "dc", "clipped", "denormal", "square", "speech", "click", "loud")


def signal_of(content: str, rate: int, channels: int, size: int) -> np.ndarray:
    if content == "click":
        return np.where(np.arange(size) == size // 2, 1.0, 0.0) * np.ones((channels, 1))
    made = any_inputs.sound(
        Case(0, "WAV", "FLOAT", rate, channels, size, content, "whole"), np.random.default_rng(size)
    )
    return made * 1e4 if content == "loud" else made


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.tuples(*[st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3000)), min_size=1, max_size=10)] * 2),
    rate=st.one_of(st.sampled_from(RATES), st.integers(3000, 200_000)),
    channels=st.integers(1, 8),
    content=st.sampled_from(SIGNALS),
    graph=st.sampled_from(["identity", "leveller", "counter", "tilt"]),
    size=st.integers(0, 6000),
    reuse=st.booleans(),
)
def test_blocks_of_any_length_give_the_same_samples(
    cuts: tuple[list[int], list[int]], rate: int, channels: int, content: str, graph: str, size: int, reuse: bool,
    graphs: dict[str, CausalModel],
) -> None:  # fmt: skip
    audio = signal_of(content, rate, channels, size).astype(np.float32)
    found = []
    for sizes in cuts:
        stream = Stream(rate, channels, graphs[graph])
        if reuse:  # flush resets the stream
            stream.push(audio)
            stream.flush()
        ends = np.minimum(np.cumsum([0, *sizes, size]), size)
        parts = []
        for start, end in pairwise(ends):
            stream = stream.copy()  # continues from the same state
            parts.append(stream.push(audio[:, start:end]))
        found.append(np.concatenate([*parts, stream.flush()], axis=1))
    assert found[0].shape == (channels, size + stream.latency.samples)
    assert np.isfinite(found[0]).all()
    np.testing.assert_allclose(
        found[0], found[1], rtol=0, atol=ROUND_OFF * max(1.0, float(np.abs(audio).max(initial=0)))
    )


@pytest.fixture(scope="module")
def graphs(causal_model: Make) -> dict[str, CausalModel]:
    return {kind: CausalModel(causal_model(kind)) for kind in ("identity", "leveller", "counter", "tilt")}


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), max_size=8),
    rate=st.sampled_from([8000, 22050, 44100, 48000]),
    channels=st.sampled_from([1, 3]),
    content=st.sampled_from(SIGNALS),
)
def test_denoised_blocks_equal_the_denoised_array(
    sizes: list[int], rate: int, channels: int, content: str, leveller: unhiss.Denoiser
) -> None:
    audio = signal_of(content, rate, channels, sum(sizes)).astype(np.float32)
    blocks = [audio[:, a:b] for a, b in pairwise(np.cumsum([0, *sizes]))]
    joined = np.concatenate([audio[:, :0], *leveller.denoise_blocks(lambda: blocks, rate, channels)], axis=1)
    assert joined.shape == audio.shape
    largest = max(1.0, float(np.abs(audio).max(initial=0)))
    np.testing.assert_allclose(joined, leveller(audio, rate), rtol=0, atol=ROUND_OFF * largest)


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> unhiss.Denoiser:
    return unhiss.Denoiser(causal_model("leveller"))
