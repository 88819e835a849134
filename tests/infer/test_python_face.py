"""Denoiser, Stream and denoise_file as objects of a Python program: pickles, reprs, plain reports, wrong arguments."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unhiss
from unhiss.errors import ConfigError, ModelError, UnhissError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.stream import Stream
from unhiss.score.pairs import find_pairs
from unhiss.score.report import evaluate
from unhiss.score.systems import System
from unhiss.serve.client import ServerError

Make = Callable[..., Path]
PLAIN = (bool, int, float, str, type(None))


def test_a_denoiser_works_in_the_processes_of_a_pool(
    causal_model: Make, rng: np.random.Generator, tmp_path: Path
) -> None:
    denoiser = Denoiser(causal_model("gain", 0.5), mix=0.5, threads=1)
    audio = rng.uniform(-0.5, 0.5, 3000).astype(np.float32)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        out = pool.submit(denoiser, audio, 16000).result()
        with pytest.raises(UnhissError, match=r"1\.00 s long"):  # errors come back too
            unhiss.write(tmp_path / "a.wav", np.zeros(16000), 16000)
            pool.submit(unhiss.read, tmp_path / "a.wav", 0.5).result()
    np.testing.assert_array_equal(out, denoiser(audio, 16000))


def test_copies_of_a_denoiser_share_one_model_in_a_process() -> None:
    data = pickle.dumps(Denoiser("nano", atten_limit_db=12))
    assert len(data) < 1000, "the arguments, not the weights"
    assert pickle.loads(data) is pickle.loads(data)


def test_a_pickled_denoiser_finds_its_model_from_another_folder(
    causal_model: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = causal_model("gain", 0.5)
    monkeypatch.chdir(path.parent)
    data = pickle.dumps(Denoiser(f"./{path.name}"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(data).name == "gain"


def test_an_error_of_a_server_keeps_its_status_in_another_process() -> None:
    assert pickle.loads(pickle.dumps(ServerError("busy", 503))).status == 503


def test_the_repr_of_a_denoiser_makes_the_same_one(causal_model: Make) -> None:
    assert repr(Denoiser()) == "Denoiser('small')"
    path = causal_model("gain", 0.5)
    text = repr(Denoiser(path, mix=0.5, threads=1))
    assert text == f"Denoiser({str(path)!r}, mix=0.5, threads=1)"
    assert repr(eval(text)) == text


def test_the_repr_of_a_stream_has_its_shape_model_and_latency(causal_model: Make) -> None:
    stream = Stream(48000, 2, CausalModel(causal_model()), bypass=True)
    assert repr(stream) == "<Stream of 2 channels at 48000 Hz, model identity, latency 32.0 ms, bypass>"


def leaves(value: Any) -> Iterator[Any]:
    """All values in dicts, lists and tuples, keys included."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if not isinstance(value, list | tuple):
        yield value
        return
    for item in value:
        yield from leaves(item)


def test_a_file_report_holds_plain_values(tmp_path: Path, rng: np.random.Generator) -> None:
    unhiss.write(tmp_path / "a.wav", rng.uniform(-1, 1, (2, 50_000)), 16000)
    for name, rate in (("b.wav", None), ("c.wav", np.int64(8000))):
        report = unhiss.denoise_file(tmp_path / "a.wav", tmp_path / name, rate=rate)
        assert {type(value) for value in leaves(asdict(report))} <= set(PLAIN)
        assert json.loads(json.dumps(asdict(report)))["rate"] == (rate or 16000)


def half(audio: np.ndarray, rate: int) -> np.ndarray:
    return audio / 2


def load_half() -> Callable[[np.ndarray, int], np.ndarray]:
    return half


def test_an_evaluation_report_holds_plain_values(real_pairs: Path) -> None:
    system = System(name="half", load=load_half, identity="half")
    report = evaluate([system], find_pairs(real_pairs)[:1], metrics=("si_sdr_db", "snr_gain_db", "loudness_db", "lag"))
    values = asdict(report)
    assert {type(value) for value in leaves(values)} <= set(PLAIN)
    assert json.loads(json.dumps(values))["rows"][1]["system"] == "half"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mix": "a"}, "mix = 'a'; expected 0"),
    ({"mix": True}, "mix = True; expected 0"),
    ({"mix": np.ones(2)}, r"mix = array\(.*; expected 0"),
    ({"mix": None}, "mix = None; expected 0"),
    ({"atten_limit_db": float("nan")}, "atten_limit_db = nan; expected dB from 0"),
    ({"atten_limit_db": "6"}, "atten_limit_db = '6'; expected dB from 0"),
    ({"model": 3}, "model = 3; expected an installed name or the path"),
    ({"model": ["small"]}, r"model = \['small'\]; expected an installed name"),
    ({"model": None}, "model = None; expected an installed name"),
    ({"model": ""}, "model = ''; expected an installed name"),
]


@pytest.mark.parametrize(("options", "line"), WRONG)
def test_options_of_a_wrong_type_are_refused_by_name(options: dict[str, Any], line: str, tmp_path: Path) -> None:
    for call in (
        lambda: unhiss.denoise(np.zeros(10), 16000, **options),
        lambda: unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "b.wav", **options),
        lambda: Denoiser(**options),
        lambda: Stream(16000, **options),
    ):
        with pytest.raises(ConfigError, match=line):
            call()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"channels": "2"}, "channels = '2'; expected 1 or more"),
        ({"channels": 1.5}, "channels = 1.5; expected 1 or more"),
        ({"bypass": "no"}, "bypass = 'no'; expected True or False"),
        ({"threads": "all"}, "threads = 'all'; expected 1 or more"),
        ({"threads": 1.5}, "threads = 1.5; expected 1 or more"),
        ({"rate": "16k"}, "rate = '16k'; expected a whole number of Hz"),
    ],
)
def test_arguments_of_a_stream_of_a_wrong_type_are_refused_by_name(options: dict[str, Any], line: str) -> None:
    with pytest.raises(UnhissError, match=line):
        Stream(**{"rate": 16000, **options})


def test_settings_of_a_running_stream_are_refused_by_name() -> None:
    stream = Stream(16000)
    for name, value in (("mix", "a"), ("atten_limit_db", float("nan"))):
        with pytest.raises(ConfigError, match=f"{name} = "):
            setattr(stream, name, value)


@pytest.mark.parametrize("data", [3, None, "text"])
def test_a_state_that_is_no_bytes_is_refused(data: Any) -> None:
    with pytest.raises(ModelError, match="expected bytes, a result of Stream"):
        Stream.load(data)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"forced": True}, "no option 'forced'; did you mean 'force'"),
        ({"atten_limit": 12}, "no option 'atten_limit'; did you mean 'atten_limit_db'"),
        ({"fromat": "WAV"}, "no option 'fromat'; did you mean 'format'"),
        ({"loudness_lufs": False}, "loudness_lufs = False; expected LUFS"),
        ({"in_place": True, "end_s": 1}, "in_place would lose the rest"),
        ({"force": "yes"}, "force = 'yes'; expected True or False"),
        ({"rate": "16k"}, "rate = '16k'; expected 1,000 to"),
        ({"rate": 16000.5}, "rate = 16000.5; expected 1,000 to"),
        ({"start_s": "1"}, "start_s = '1'; expected seconds from 0"),
        ({"end_s": float("nan")}, "end_s = nan; expected seconds"),
        ({"subtype": 16}, "subtype = 16; expected a coding"),
        ({"clip_mode": None}, "clip_mode = None; expected one of clip"),
        ({"residual": 3}, "residual = 3; expected the path of a file"),
        ({"progress": 3}, "progress = 3; expected a function"),
        ({"target": 3}, "target = 3; expected a path"),
        ({"source": None}, "source = None; expected a path"),
    ],
)
def test_arguments_of_denoise_file_of_a_wrong_type_are_refused_by_name(
    options: dict[str, Any], line: str, tmp_path: Path
) -> None:
    unhiss.write(tmp_path / "a.wav", np.zeros(100), 16000)
    paths = {"source": tmp_path / "a.wav", "target": tmp_path / "b.wav"}
    with pytest.raises(ConfigError, match=line):
        unhiss.denoise_file(**{**paths, **options})
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_messages_in_python_have_the_names_of_python(tmp_path: Path) -> None:
    unhiss.write(tmp_path / "a.wav", 2 * np.sin(np.arange(9000) / 9), 16000, "FLOAT")
    unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "b.wav")
    with pytest.raises(UnhissError) as refused:
        unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "b.wav")
    assert str(refused.value).endswith("b.wav exists; force=True overwrites it")
    with pytest.raises(UnhissError, match="replace it with in_place=True"):
        unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "a.wav")
    report = unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "c.wav", subtype="PCM_16", mix=0.0)
    assert any("clip_mode=rescale keeps them" in warning for warning in report.warnings)


@pytest.mark.parametrize("blocks", [[np.zeros((1, 10)), "no samples"], [np.zeros(10), np.zeros(10, bool)]])
def test_no_stream_advances_where_one_block_of_many_is_refused(blocks: list[Any], causal_model: Make) -> None:
    model = CausalModel(causal_model())
    streams = [Stream(44100, 1, model) for _ in blocks]
    twins = [stream.copy() for stream in streams]
    with pytest.raises(UnhissError, match="block is"):
        Stream.push_many(streams, blocks)
    ramp = np.linspace(0, 0.5, 5000, dtype=np.float32)
    for stream, twin in zip(streams, twins, strict=True):
        np.testing.assert_array_equal(stream.push(ramp), twin.push(ramp))


@pytest.mark.parametrize("blocks", [[], None, 3, [np.zeros(9)] * 2])
def test_many_streams_need_a_block_each(blocks: Any) -> None:
    stream = Stream(16000)
    with pytest.raises(ConfigError, match="expected a list of one block for each stream"):
        Stream.push_many([stream], blocks)
    for streams in (stream, [3], None):
        with pytest.raises(ConfigError, match="expected a list of Streams"):
            Stream.push_many(streams, [np.zeros(9)])  # type: ignore[arg-type]
