"""Live streams on a server return the offline result, and an invalid request gets an error that names what is valid."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import PCM16_STEP, ROUND_OFF, RunningServer, noise, serving, stream_audio, wait_until
from websockets.sync.client import connect

import unhiss
from unhiss.errors import AudioError, ConfigError
from unhiss.infer.causal_model import CausalModel
from unhiss.serve.admission import MAX_STEP_LOAD_S
from unhiss.serve.client import ServerError


@pytest.mark.parametrize(("rate", "channels", "size"), [(48000, 1, 960), (44100, 2, 441), (8000, 1, 8001)])
def test_a_live_stream_returns_the_offline_result(
    rate: int, channels: int, size: int, server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    audio = noise(rng, channels, rate)
    result = stream_audio(server.client, audio, rate, size)
    np.testing.assert_allclose(result, unhiss.denoise(audio, rate, model=leveller), atol=ROUND_OFF)


def test_twelve_streams_at_once_each_return_the_offline_result(server: RunningServer, leveller: Path) -> None:
    def run_one(seed: int) -> None:
        audio = noise(np.random.default_rng(seed), 1, 16000)
        result = stream_audio(server.client, audio, 16000, 320)
        np.testing.assert_allclose(result, unhiss.denoise(audio, 16000, model=leveller), atol=ROUND_OFF)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(run_one, range(12)))
    wait_until(lambda: not len(server.service.streams), "all streams are closed")
    assert not server.service.connections


def test_pcm16_returns_the_offline_result_within_a_step(
    server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    audio = np.rint(noise(rng, 1, 16000) * 32768).astype(np.float32) / 32768
    result = stream_audio(server.client, audio, 16000, 320, format="pcm16")
    expected = unhiss.denoise(audio, 16000, model=leveller)
    np.testing.assert_allclose(result, expected, atol=0.51 * PCM16_STEP + ROUND_OFF)


def test_a_stream_uses_the_settings_of_its_start_message(
    server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    audio = noise(rng, 1, 16000)
    result = stream_audio(server.client, audio, 16000, 320, mix=0.4, atten_limit_db=6.0)
    expected = unhiss.denoise(audio, 16000, model=leveller, mix=0.4, atten_limit_db=6.0)
    np.testing.assert_allclose(result, expected, atol=ROUND_OFF)


def test_the_reply_to_set_has_all_settings(server: RunningServer) -> None:
    with server.client.stream(16000, mix=0.5) as stream:
        assert stream.set(bypass=True) == {"type": "settings", "atten_limit_db": None, "mix": 0.5, "bypass": True}
        assert stream.set(atten_limit_db=9)["atten_limit_db"] == 9


def test_a_flush_resets_the_stream(server: RunningServer, rng: np.random.Generator) -> None:
    audio = noise(rng, 1, 4000)
    with server.client.stream(16000) as stream:
        runs = [np.concatenate([stream.push(audio), stream.flush()], axis=1) for _ in range(2)]
    np.testing.assert_allclose(runs[0], runs[1], atol=ROUND_OFF)


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        ({"rate": 500}, 400, "rate = 500 Hz; expected 1,000 to 192,000"),
        ({"rate": 16000, "channels": 9}, 400, "channels = 9; expected 1 to 8"),
        ({"rate": 16000, "model": "tiny"}, 404, "no model 'tiny'"),
        ({"rate": 16000, "model": "../../etc/passwd"}, 404, "no model"),
        ({"rate": 16000, "model": "unet"}, 400, "looks .* ahead and cannot stream"),
        ({"rate": 16000, "mix": 3}, 400, "mix = 3"),
        ({"rate": 16000, "guard": True}, 400, "guard is gone: models now leave clean speech alone"),
    ],
)
def test_an_invalid_start_message_is_rejected(
    options: dict[str, Any], status: int, line: str, server: RunningServer
) -> None:
    with pytest.raises(ServerError, match=line) as error:
        server.client.stream(**options)
    assert error.value.status == status


def test_nan_is_rejected_and_named(server: RunningServer) -> None:
    with server.client.stream(16000) as stream, pytest.raises(ServerError, match="NaN") as error:
        stream._socket.send(np.full(160, np.nan, "<f4").tobytes())
        stream.receive()
    assert error.value.status == 400


def test_each_message_with_audio_is_counted_once_with_its_response_time(leveller: Path) -> None:
    def count(server: RunningServer) -> str:
        lines = server.service.metrics.text().decode().splitlines()
        return next(line for line in lines if line.startswith("unhiss_stream_response_seconds_count"))

    with serving(leveller) as server, server.client.stream(16000) as stream:
        for size in (1600, 0, 7, 800):
            stream.push(np.zeros(size, np.float32))
        stream.flush()
        stream.push(np.zeros(5, np.float32))
        wait_until(lambda: count(server).endswith(" 4.0"), "four responses")
        assert stream.push(np.zeros(1, np.float32)).shape == (1,)
        wait_until(lambda: count(server).endswith(" 5.0"), "five responses")


def test_streams_are_limited_per_client_and_in_total(leveller: Path) -> None:
    with serving(leveller, max_streams=3, max_streams_per_client=2) as server:
        first, second = server.client.stream(16000), server.client.stream(16000)
        with pytest.raises(ServerError, match=r"2 live streams of 127\.0\.0\.1 already") as error:
            server.client.stream(16000)
        assert error.value.status == 429
        first.close()
        wait_until(lambda: len(server.service.streams) == 1, "the first stream is closed")
        server.client.stream(16000).close()
        second.close()
    with serving(leveller, max_streams=1) as server, server.client.stream(16000):
        with pytest.raises(ServerError, match="all 1 live streams are in use") as error:
            server.client.stream(16000)
        assert error.value.status == 503


def test_a_stream_that_would_make_the_others_late_is_rejected(
    leveller: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock moves only while the model runs, so the load is the same on every machine."""
    run, block = CausalModel.run, noise(rng, 1, 320)
    with serving(leveller) as server, server.client.stream(16000) as stream:
        load = server.service.batcher.load

        def run_slowly(*arguments: Any) -> Any:
            server.clock.advance(0.06)
            return run(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(CausalModel, "run", run_slowly)
            while load.value_s < 2 * MAX_STEP_LOAD_S:
                stream.push(block)
        with pytest.raises(ServerError, match="no time for another live stream") as error:
            server.client.stream(16000)
        assert error.value.status == 503
        assert stream.push(block).shape == block.shape, "running streams go on"
        server.clock.advance(5)
        server.client.stream(16000).close()


def test_a_client_that_sends_nothing_is_told_and_disconnected(leveller: Path) -> None:
    with serving(leveller, handshake_s=10, idle_s=60) as server:
        with connect(f"ws://127.0.0.1:{server.port}/v1/stream", proxy=None) as socket:
            wait_until(lambda: server.service.connections, "it is connected")
            server.clock.advance(11)
            assert "no start message within 10 s" in str(socket.recv(120))
        with server.client.stream(16000) as stream:
            server.clock.advance(61)
            with pytest.raises(ServerError, match="no message for 60 s") as error:
                stream.receive()
        assert error.value.status == 408


def test_a_state_is_saved_only_when_the_one_before_was_read(server: RunningServer) -> None:
    """Of a thousand saves at once, one is answered, and the next when that is read."""
    with server.client.stream(48000, 8) as stream:
        slot = server.service.batcher._slots[-1]
        for _ in range(1000):
            stream._socket.send('{"type": "save"}')
        lengths: list[int] = []
        while len(lengths) < 200:
            lengths.append(len(slot._results))
            stream._receive_message()
            time.sleep(0)
        assert max(lengths) <= 1


def test_a_remote_stream_takes_samples_by_the_rule_of_the_local_one(
    server: RunningServer, rng: np.random.Generator
) -> None:
    values = rng.integers(-9000, 9000, 3200).astype(np.int16)
    with server.client.stream(16000) as one, server.client.stream(np.int64(16000)) as other:  # type: ignore[arg-type]
        np.testing.assert_allclose(one.push(values), other.push((values / 32768).tolist()), atol=ROUND_OFF)
        for block in (None, np.zeros(10, bool), np.array([np.nan]), np.zeros((2, 10))):
            with pytest.raises(AudioError, match="block"):
                one.push(block)  # type: ignore[arg-type]
    clipped = pytest.warns(UserWarning, match=r"2 samples above full scale .* are clipped by pcm16")
    with server.client.stream(16000, format="pcm16") as stream, clipped:
        stream.push(np.array([1.5, -1.5, 1.0]))
    with pytest.raises(ConfigError, match="channels = '2'; expected 1 or more"):
        server.client.stream(16000, "2")  # type: ignore[arg-type]
