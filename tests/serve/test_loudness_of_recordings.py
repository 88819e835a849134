"""?loudness_lufs= : the response has the loudness, its headers say what was reached, and the client passes it on."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from ffmpeg_meter import ffmpeg_loudness
from serving import RunningServer, error_message, form, noise, request, wav

import unhiss

RATE = 48_000
METER = 0.02  # LU


def decoded(content: bytes, format: str) -> np.ndarray:
    """`(C, T)` of a response of two channels."""
    if format == "float32":
        return np.frombuffer(content, "<f4").reshape(-1, 2).T
    if format == "pcm16":
        return np.frombuffer(content, "<i2").reshape(-1, 2).T.astype(np.float32) / 32768
    audio: np.ndarray = sf.read(io.BytesIO(content), dtype="float32", always_2d=True)[0].T
    return audio


@pytest.mark.parametrize("format", ["wav", "pcm16", "float32", "flac"])
@pytest.mark.parametrize("as_form", [True, False])
def test_a_response_has_the_loudness(
    format: str, as_form: bool, server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    audio = 0.1 * noise(rng, 2, 2 * RATE)
    data, query = wav(audio, RATE), f"?format={format}"
    body, headers = form(data, loudness_lufs="-28") if as_form else (data, {})
    query += "" if as_form else "&loudness_lufs=-28"
    status, answer, content = request(server, "POST", f"/v1/denoise{query}", body, **headers)
    out = decoded(content, format)
    assert (status, out.shape, len(content)) == (200, audio.shape, int(answer["content-length"]))
    assert ffmpeg_loudness(out, RATE)[0] == pytest.approx(-28, abs=METER)
    assert float(answer["x-output-lufs"]) == pytest.approx(-28, abs=METER)
    plain = unhiss.denoise(audio, RATE, model=leveller)
    gain_db = 20 * np.log10(np.sqrt(np.square(out).mean() / np.square(plain).mean()))
    assert float(answer["x-gain-db"]) == pytest.approx(gain_db, abs=0.02)
    assert float(answer["x-output-dbtp"]) >= 20 * np.log10(np.abs(out).max()) - 0.02
    assert "x-warning" not in answer


@pytest.mark.parametrize("format", ["wav", "ogg"])
def test_a_response_at_the_ceiling_says_what_was_reached(
    format: str, server: RunningServer, rng: np.random.Generator
) -> None:
    data = wav(noise(rng, 2, 2 * RATE), RATE)
    status, answer, _ = request(server, "POST", f"/v1/denoise?loudness_lufs=0&format={format}", data)
    assert (status, answer["x-output-dbtp"]) == (200, "-1.00")
    lufs = float(answer["x-output-lufs"])
    assert lufs < 0 and answer["x-warning"].startswith(f"loudness {lufs:.1f} LUFS in place of 0: its peaks reach -1")


def test_silence_has_no_loudness_and_keeps_its_level(server: RunningServer) -> None:
    status, answer, content = request(server, "POST", "/v1/denoise?loudness_lufs=-16", wav(np.zeros((1, 9)), RATE))
    assert (status, answer["x-gain-db"], "x-output-lufs" in answer) == (200, "0.00", False)
    assert "no loudness to measure (shorter than 400 ms)" in answer["x-warning"]
    assert not sf.read(io.BytesIO(content))[0].any()


def test_without_the_option_no_loudness_is_measured(server: RunningServer, rng: np.random.Generator) -> None:
    _, answer, _ = request(server, "POST", "/v1/denoise", wav(noise(rng, 1, RATE), RATE))
    assert not {"x-output-lufs", "x-output-dbtp", "x-gain-db", "x-warning"} & set(answer)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("16", "loudness_lufs = 16.0; expected LUFS from -60 to 0, such as -16"),
        ("-61", "loudness_lufs = -61.0; expected LUFS"),
        ("loud", "loudness_lufs = 'loud'; expected a number"),
        ("nan", "loudness_lufs = 'nan'; expected a number"),
    ],
)
def test_a_target_that_is_none_is_rejected(value: str, line: str, server: RunningServer) -> None:
    status, _, content = request(server, "POST", f"/v1/denoise?loudness_lufs={value}", b"x")
    assert status == 400 and line in error_message(content)


def test_the_client_writes_the_loudness_and_passes_warnings_on(
    server: RunningServer, tmp_path: Path, rng: np.random.Generator
) -> None:
    (tmp_path / "noisy.wav").write_bytes(wav(0.1 * noise(rng, 2, 2 * RATE), RATE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", loudness_lufs=-28)
    out, _ = sf.read(tmp_path / "clean.wav", dtype="float32")
    assert ffmpeg_loudness(out.T, RATE)[0] == pytest.approx(-28, abs=METER)
    with pytest.warns(UserWarning, match=r"noisy.wav: loudness .* LUFS in place of -0.5: its peaks") as caught:
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", loudness_lufs=-0.5, force=True)
    assert caught[0].filename == __file__
