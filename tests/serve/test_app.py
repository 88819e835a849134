"""A real server: live streams are the offline result, and each refusal says what would be right."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving import ROUND_OFF, STEP, Running, message, noise, request, serving, streamed, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import unhiss
from unhiss.infer.causal_model import CausalModel
from unhiss.serve.client import Client, ServerError
from unhiss.serve.ticks import FULL_S


@pytest.mark.parametrize(("rate", "channels", "size"), [(48000, 1, 960), (44100, 2, 441), (8000, 1, 8001)])
def test_a_live_stream_is_the_offline_result(
    rate: int, channels: int, size: int, server: Running, leveller: Path, rng: np.random.Generator
) -> None:
    sound = noise(rng, channels, rate)
    found = streamed(server.client, sound, rate, size)
    np.testing.assert_allclose(found, unhiss.denoise(sound, rate, model=leveller), atol=ROUND_OFF)


def test_twelve_streams_at_once_are_each_the_offline_result(server: Running, leveller: Path) -> None:
    def one(seed: int) -> None:
        sound = noise(np.random.default_rng(seed), 1, 16000)
        found = streamed(server.client, sound, 16000, 320)
        np.testing.assert_allclose(found, unhiss.denoise(sound, 16000, model=leveller), atol=ROUND_OFF)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(one, range(12)))
    assert (
        not server.service.conversations or wait_until(lambda: not len(server.service.streams), "all have left") is None
    )


def test_pcm16_is_the_offline_result_to_a_step(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = np.rint(noise(rng, 1, 16000) * 32768).astype(np.float32) / 32768
    found = streamed(server.client, sound, 16000, 320, format="pcm16")
    np.testing.assert_allclose(found, unhiss.denoise(sound, 16000, model=leveller), atol=0.51 * STEP + ROUND_OFF)


def test_a_stream_takes_the_settings_of_its_hello(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 16000)
    found = streamed(server.client, sound, 16000, 320, mix=0.4, atten_lim=6.0, guard=False)
    wanted = unhiss.denoise(sound, 16000, model=leveller, mix=0.4, atten_limit_db=6.0, guard=False)
    np.testing.assert_allclose(found, wanted, atol=ROUND_OFF)


def test_a_set_is_answered_by_all_that_is_set(server: Running) -> None:
    with server.client.stream(16000, mix=0.5) as stream:
        assert stream.set(bypass=True) == {"type": "set", "atten_lim": None, "mix": 0.5, "bypass": True}
        assert stream.set(atten_lim=9)["atten_lim"] == 9


def test_after_a_flush_a_stream_is_as_new(server: Running, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 4000)
    with server.client.stream(16000) as stream:
        runs = [np.concatenate([stream.push(sound), stream.flush()], axis=1) for _ in range(2)]
    np.testing.assert_allclose(runs[0], runs[1], atol=ROUND_OFF)


@pytest.mark.parametrize(
    ("hello", "status", "line"),
    [
        ({"rate": 500}, 400, "rate = 500 Hz; expected 1,000 to 192,000"),
        ({"rate": 16000, "channels": 9}, 400, "channels = 9; expected 1 to 8"),
        ({"rate": 16000, "model": "tiny"}, 404, "no model 'tiny'"),
        ({"rate": 16000, "model": "../../etc/passwd"}, 404, "no model"),
        ({"rate": 16000, "model": "unet"}, 400, "looks .* ahead and cannot stream"),
        ({"rate": 16000, "mix": 3}, 400, "mix = 3"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(hello: dict, status: int, line: str, server: Running) -> None:
    with pytest.raises(ServerError, match=line) as refused:
        server.client.stream(hello.pop("rate"), **hello)
    assert refused.value.status == status


def test_nan_is_refused_and_named(server: Running) -> None:
    with server.client.stream(16000) as stream, pytest.raises(ServerError, match="NaN") as refused:
        stream._socket.send(np.full(160, np.nan, "<f4").tobytes())
        stream.receive()
    assert refused.value.status == 400


def test_models_health_and_metrics_say_what_is(server: Running) -> None:
    models = json.loads(request(server, "GET", "/v1/models")[2])["models"]
    default = [model for model in models if model["default"]]
    assert len(default) == 1 and default[0]["live"] and default[0]["latency_ms"] == 32
    assert {"small", "unet"} <= {model["name"] for model in models}
    with server.client.stream(16000) as stream:
        stream.push(np.zeros(1600, np.float32))
        health = json.loads(request(server, "GET", "/healthz")[2])
        assert health["status"] == "ok" and health["streams"] >= 1
        text = request(server, "GET", "/metrics")[2].decode()
        assert re.search(r"^unhiss_streams_now [1-9]", text, re.MULTILINE)
        assert re.search(r"^unhiss_tick_seconds_count [1-9]", text, re.MULTILINE)


def test_each_message_with_sound_is_counted_once_with_the_time_its_answer_took(leveller: Path) -> None:
    with serving(leveller) as server, server.client.stream(16000) as stream:
        for size in (1600, 0, 7, 800):
            stream.push(np.zeros(size, np.float32))
        stream.flush()
        stream.push(np.zeros(5, np.float32))
        wait_until(lambda: "unhiss_answer_seconds_count 4.0" in server.service.metrics.text().decode(), "four answers")
        assert stream.push(np.zeros(1, np.float32)).shape == (1,)
        wait_until(lambda: "unhiss_answer_seconds_count 5.0" in server.service.metrics.text().decode(), "five answers")


def test_every_answer_carries_the_headers_that_keep_the_page_to_itself(server: Running) -> None:
    for path in ("/", "/docs", "/openapi.json", "/nowhere"):
        status, headers, body = request(server, "GET", path)
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert status != 404 or path == "/nowhere", body


def test_the_stream_without_an_upgrade_says_how(server: Running) -> None:
    status, headers, answer = request(server, "GET", "/v1/stream")
    assert (status, headers["upgrade"]) == (426, "websocket") and "ws://" in message(answer)


def test_a_missing_page_names_what_builds_it(server: Running) -> None:
    assert b"make web" in request(server, "GET", "/")[2] or b"<script" in request(server, "GET", "/")[2]


def test_only_pages_of_this_place_may_ask(server: Running) -> None:
    assert request(server, "GET", "/healthz", origin="https://evil.example")[0] == 403
    assert request(server, "GET", "/healthz", origin=server.url)[0] == 200
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server.port}/v1/stream", origin="https://evil.example", proxy=None)  # type: ignore[arg-type]


def test_a_page_that_was_named_may_ask(leveller: Path) -> None:
    with serving(leveller, origins=("https://good.example",)) as server:
        status, headers, _ = request(server, "GET", "/healthz", origin="https://good.example")
        assert (status, headers["access-control-allow-origin"]) == (200, "https://good.example")
        assert request(server, "OPTIONS", "/v1/denoise", origin="https://good.example")[0] == 204


def test_a_token_is_asked_for_everywhere_that_works(leveller: Path, rng: np.random.Generator) -> None:
    with serving(leveller, token="geheim") as server:
        for method, path in (("POST", "/v1/denoise"), ("GET", "/v1/models"), ("GET", "/metrics")):
            for shown in ({}, {"authorization": "Bearer geheiM"}, {"authorization": "Basic geheim"}):
                status, headers, _ = request(server, method, path, b"x" if method == "POST" else None, **shown)
                assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert request(server, "GET", "/healthz")[0] == 200
        for token in ("", "wrong", "gehéim"):
            with pytest.raises(ServerError) as refused:
                Client(server.url).stream(16000, token=token)
            assert refused.value.status == 401
        with server.client.stream(16000) as by_header, Client(server.url).stream(16000, token="geheim") as by_hello:
            for stream in (by_header, by_hello):
                assert stream.push(np.zeros(160, np.float32)).shape == (160,)
        assert request(server, "GET", "/v1/models", authorization="Bearer geheim")[0] == 200


def test_streams_have_a_limit_for_each_and_for_all(leveller: Path) -> None:
    with serving(leveller, streams=3, streams_per_client=2) as server:
        first, second = server.client.stream(16000), server.client.stream(16000)
        with pytest.raises(ServerError, match=r"2 live streams of 127\.0\.0\.1 already") as refused:
            server.client.stream(16000)
        assert refused.value.status == 429
        first.close()
        wait_until(lambda: len(server.service.streams) == 1, "the first has left")
        server.client.stream(16000).close()
        second.close()
    with serving(leveller, streams=1) as server, server.client.stream(16000):
        with pytest.raises(ServerError, match="all 1 places") as refused:
            server.client.stream(16000)
        assert refused.value.status == 503


def test_no_stream_is_let_in_that_would_make_the_others_late(
    server: Running, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, block = CausalModel.run, noise(rng, 1, 320)
    with server.client.stream(16000) as stream:
        with monkeypatch.context() as slow:
            slow.setattr(CausalModel, "run", lambda *given: time.sleep(0.06) or run(*given))
            desk = server.service.desk
            wait_until(lambda: len(stream.push(block)) and desk.pace_s > 2 * FULL_S, "ticks that are far too long")
        with pytest.raises(ServerError, match="all the live streams its core can bear") as refused:
            server.client.stream(16000)
        assert refused.value.status == 503
        assert stream.push(block).shape == block.shape
        wait_until(lambda: not desk.full, "ticks are short again")
        server.client.stream(16000).close()


def test_who_says_nothing_is_told_and_closed(leveller: Path) -> None:
    with serving(leveller, idle_s=0.5, hello_s=0.3) as server:
        with connect(f"ws://127.0.0.1:{server.port}/v1/stream", proxy=None) as socket:
            assert "no hello within 0.3 s" in str(socket.recv(10))
        with (
            server.client.stream(16000) as stream,
            pytest.raises(ServerError, match=r"no message for 0\.5 s") as refused,
        ):
            stream.receive()
        assert refused.value.status == 408


@pytest.mark.parametrize("call", [lambda c: c.models(), lambda c: c.stream(16000)])
def test_no_server_is_one_line(call: Callable[[Client], object]) -> None:
    with pytest.raises(ServerError, match="is unhiss serve running there"):
        call(Client("http://127.0.0.1:9"))
