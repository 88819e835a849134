"""A real server: live streams and files are the offline result, and each refusal says what would be right."""

from __future__ import annotations

import http.client
import io
import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from serving import Running, noise, serving, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import hush
from hush.serve.client import Client, ServerError

ROUND_OFF = 1e-5  # the issue's; a batch sums in another order
STEP = 1 / 32768


def request(
    server: Running, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def message(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])


def wav(sound: np.ndarray, rate: int, subtype: str = "FLOAT") -> bytes:
    held = io.BytesIO()
    sf.write(held, sound.T, rate, format="WAV", subtype=subtype)
    return held.getvalue()


def streamed(client: Client, sound: np.ndarray, rate: int, size: int, **options: object) -> np.ndarray:
    with client.stream(rate, len(sound), **options) as stream:  # type: ignore[arg-type]
        parts = [stream.push(sound[:, i : i + size]) for i in range(0, sound.shape[1], size)]
        return np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]


@pytest.mark.parametrize(("rate", "channels", "size"), [(48000, 1, 960), (44100, 2, 441), (8000, 1, 8001)])
def test_a_live_stream_is_the_offline_result(
    rate: int, channels: int, size: int, server: Running, leveller: Path, rng: np.random.Generator
) -> None:
    sound = noise(rng, channels, rate)
    found = streamed(server.client, sound, rate, size)
    np.testing.assert_allclose(found, hush.denoise(sound, rate, model=leveller), atol=ROUND_OFF)


def test_twelve_streams_at_once_are_each_the_offline_result(server: Running, leveller: Path) -> None:
    def one(seed: int) -> None:
        sound = noise(np.random.default_rng(seed), 1, 16000)
        found = streamed(server.client, sound, 16000, 320)
        np.testing.assert_allclose(found, hush.denoise(sound, 16000, model=leveller), atol=ROUND_OFF)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(one, range(12)))
    assert (
        not server.service.conversations or wait_until(lambda: not len(server.service.streams), "all have left") is None
    )


def test_pcm16_is_the_offline_result_to_a_step(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = np.rint(noise(rng, 1, 16000) * 32768).astype(np.float32) / 32768
    found = streamed(server.client, sound, 16000, 320, format="pcm16")
    np.testing.assert_allclose(found, hush.denoise(sound, 16000, model=leveller), atol=0.51 * STEP + ROUND_OFF)


def test_a_stream_takes_the_settings_of_its_hello(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 16000)
    found = streamed(server.client, sound, 16000, 320, mix=0.4, atten_lim=6.0, guard=False)
    wanted = hush.denoise(sound, 16000, model=leveller, mix=0.4, atten_limit_db=6.0, guard=False)
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


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize("as_form", [True, False])
def test_a_file_is_the_offline_result(
    subtype: str, as_form: bool, server: Running, leveller: Path, rng: np.random.Generator
) -> None:
    data = wav(noise(rng, 2, 50000), 44100, subtype)
    body, headers = form(data) if as_form else (data, {})
    status, facts, answer = request(server, "POST", "/v1/denoise", body, **headers)
    assert (status, facts["content-type"], int(facts["content-length"])) == (200, "audio/wav", len(answer))
    sound, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    found, found_rate = sf.read(io.BytesIO(answer), dtype="float32", always_2d=True)
    assert (found_rate, found.shape, sf.info(io.BytesIO(answer)).subtype) == (rate, sound.shape, subtype)
    wanted = hush.denoise(np.ascontiguousarray(sound.T), rate, model=leveller).T
    np.testing.assert_allclose(found, wanted, atol=ROUND_OFF if subtype == "FLOAT" else 0.51 * STEP + ROUND_OFF)


def form(data: bytes, name: str = "a.wav", field: str = "file", **more: str) -> tuple[bytes, dict[str, str]]:
    line = b"--edge\r\nContent-Disposition: form-data; name="
    parts = [line + f'"{key}"\r\n\r\n{value}\r\n'.encode() for key, value in more.items()]
    parts.append(line + f'"{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n--edge--\r\n")
    return b"".join(parts), {"content_type": "multipart/form-data; boundary=edge"}


def test_a_form_may_hold_the_settings(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 20000)
    body, headers = form(wav(sound, 16000), mix="0.25", format="float32")
    status, facts, answer = request(server, "POST", "/v1/denoise", body, **headers)
    assert (status, facts["x-sample-rate"], facts["x-channels"]) == (200, "16000", "1")
    wanted = hush.denoise(sound[0], 16000, model=leveller, mix=0.25)
    np.testing.assert_allclose(np.frombuffer(answer, "<f4"), wanted, atol=ROUND_OFF)


@pytest.mark.parametrize(
    ("query", "accept", "kind", "written"),
    [
        ("?format=flac", "audio/wav", "audio/flac", "FLAC"),
        ("", "audio/flac, audio/wav;q=0.5", "audio/flac", "FLAC"),
        ("", "text/html, */*", "audio/wav", "WAV"),
        ("?format=ogg", "", "audio/ogg", "OGG"),
        ("?format=mp3", "", "audio/mpeg", "MP3"),
    ],
)
def test_the_format_is_what_was_asked_for(
    query: str, accept: str, kind: str, written: str, server: Running, rng: np.random.Generator
) -> None:
    given = {"accept": accept} if accept else {}
    status, facts, answer = request(server, "POST", f"/v1/denoise{query}", wav(noise(rng, 1, 30000), 16000), **given)
    assert (status, facts["content-type"]) == (200, kind)
    found = sf.info(io.BytesIO(answer))
    assert (found.format, found.samplerate, found.frames) == (written, 16000, 30000)


def test_a_lossy_upload_keeps_its_number_of_samples(server: Running, rng: np.random.Generator) -> None:
    held = io.BytesIO()
    sf.write(held, noise(rng, 1, 33333)[0], 16000, format="MP3")
    _, _, answer = request(server, "POST", "/v1/denoise", held.getvalue())
    assert sf.info(io.BytesIO(answer)).frames == sf.read(io.BytesIO(held.getvalue()))[0].size


@pytest.mark.parametrize(
    ("query", "body", "status", "line"),
    [
        ("?mix=2", b"x", 400, "mix = 2.0; expected 0"),
        ("?mix=half", b"x", 400, "mix = 'half'; expected a number"),
        ("?atten_lim=nan", b"x", 400, "atten_lim = 'nan'; expected a number"),
        ("?guard=maybe", b"x", 400, "guard = 'maybe'; expected true or false"),
        ("?format=doc", b"x", 400, "format = 'doc'; expected one of wav"),
        ("?colour=red", b"x", 400, "'colour' is no setting"),
        ("?model=tiny", b"x", 404, "no model 'tiny'"),
        ("?model=/etc/passwd", b"x", 404, "no model"),
        ("", b"", 400, "no bytes came"),
        ("", b"x" * 999, 422, "not a readable recording"),
        ("", wav(np.zeros((1, 9), np.float32), 44100)[:50], 422, "truncated|not a readable"),
    ],
)
def test_a_wrong_request_is_answered_with_what_would_be_right(
    query: str, body: bytes, status: int, line: str, server: Running
) -> None:
    found, _, answer = request(server, "POST", f"/v1/denoise{query}", body)
    assert (found, re.search(line, message(answer)) is not None) == (status, True), answer
    assert "/tmp" not in message(answer) and "recording:" not in message(answer)


def test_what_accepts_no_sound_gets_406(server: Running) -> None:
    status, _, answer = request(server, "POST", "/v1/denoise", b"x", accept="text/html")
    assert status == 406 and "audio/wav" in message(answer)


def test_a_form_without_a_recording_says_how(server: Running) -> None:
    body, headers = form(b"x", field="sound")
    status, _, answer = request(server, "POST", "/v1/denoise", body, **headers)
    assert status == 400 and "curl -F file=@noisy.wav" in message(answer)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/cron.d/x.wav", "a\\..\\b.wav", ".wav", "x" * 3000 + ".wav"])
def test_the_name_of_an_upload_reaches_no_path(name: str, server: Running, rng: np.random.Generator) -> None:
    body, headers = form(wav(noise(rng, 1, 3000), 16000), name=name)
    assert request(server, "POST", "/v1/denoise", body, **headers)[0] == 200


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
        assert re.search(r"^hush_streams_now [1-9]", text, re.MULTILINE)
        assert re.search(r"^hush_tick_seconds_count [1-9]", text, re.MULTILINE)


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


def test_limits_are_answers(leveller: Path, rng: np.random.Generator) -> None:
    data = wav(noise(rng, 2, 16000), 16000)
    with serving(leveller, duration_s=0.5) as server:
        status, _, answer = request(server, "POST", "/v1/denoise", data)
        assert status == 413 and message(answer) == "1 s of sound; expected 0 s at most"
    with serving(leveller, channels=1, rate=8000, body_mb=0.2) as server:
        assert "rate = 16,000 Hz; expected 1,000 to 8,000" in message(request(server, "POST", "/v1/denoise", data)[2])
        status, _, answer = request(server, "POST", "/v1/denoise", bytes(300_000))
        assert status == 413 and "0.2 MB at most" in message(answer)


def test_streams_have_a_limit_for_each_and_for_all(leveller: Path) -> None:
    with serving(leveller, streams=3, streams_per_client=2) as server:
        first, second = server.client.stream(16000), server.client.stream(16000)
        with pytest.raises(ServerError, match="2 live streams of 127.0.0.1 already") as refused:
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


def test_who_says_nothing_is_told_and_closed(leveller: Path) -> None:
    with serving(leveller, idle_s=0.5, hello_s=0.3) as server:
        with connect(f"ws://127.0.0.1:{server.port}/v1/stream", proxy=None) as socket:
            assert "no hello within 0.3 s" in str(socket.recv(10))
        with server.client.stream(16000) as stream, pytest.raises(ServerError, match="no message for 0.5 s") as refused:
            stream.receive()
        assert refused.value.status == 408


def test_an_answer_begins_before_the_work_ends(server: Running, leveller: Path, tmp_path: Path) -> None:
    """The length is promised, and the first samples come, while the process is still at the last."""
    data = wav(np.tile(noise(np.random.default_rng(0), 1, 48000), (1, 400)), 48000)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/denoise", data)
    answer = connection.getresponse()
    first = answer.read(1 << 16)
    assert first[:4] == b"RIFF" and len(server.service.workers._pool._pending_work_items) == 1, "it is still at work"
    answer.close()
    connection.close()
    wait_until(lambda: not len(server.service.files), "who left is not worked for")


def test_live_sound_is_served_while_files_are_denoised(
    server: Running, leveller: Path, rng: np.random.Generator
) -> None:
    data = wav(noise(rng, 1, 48000 * 20), 48000)
    uploads = [threading.Thread(target=request, args=(server, "POST", "/v1/denoise", data)) for _ in range(2)]
    for upload in uploads:
        upload.start()
    sound = noise(rng, 1, 48000)
    found = streamed(server.client, sound, 48000, 960)
    np.testing.assert_allclose(found, hush.denoise(sound, 48000, model=leveller), atol=ROUND_OFF)
    for upload in uploads:
        upload.join()


def test_a_process_killed_at_work_costs_its_file_and_no_more(leveller: Path, rng: np.random.Generator) -> None:
    with serving(leveller) as server:
        data = wav(np.tile(noise(rng, 1, 48000), (1, 300)), 48000)
        got: list = []
        upload = threading.Thread(target=lambda: got.append(request(server, "POST", "/v1/denoise?format=flac", data)))
        upload.start()
        wait_until(lambda: bool(server.service.workers._pool._processes), "the process is there")
        time.sleep(0.2)
        for process in list(server.service.workers._pool._processes.values()):
            process.kill()
        upload.join()
        assert got[0][0] == 500 and "died" in message(got[0][2])
        assert request(server, "POST", "/v1/denoise", wav(noise(rng, 1, 800), 16000))[0] == 200


def test_the_client_keeps_an_answer_whole_or_not_at_all(server: Running, tmp_path: Path, leveller: Path) -> None:
    sound = noise(np.random.default_rng(1), 2, 20000)
    hush.write(tmp_path / "noisy.wav", sound, 16000, "FLOAT")
    server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", mix=0.5)
    found, rate = hush.read(tmp_path / "clean.wav")
    np.testing.assert_allclose(found, hush.denoise(sound, rate, model=leveller, mix=0.5), atol=ROUND_OFF)
    with pytest.raises(ServerError, match="mix = 7"):
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "other.wav", mix=7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.wav", "noisy.wav"]


@pytest.mark.parametrize("call", [lambda c: c.models(), lambda c: c.stream(16000)])
def test_no_server_is_one_line(call: Callable[[Client], object]) -> None:
    with pytest.raises(ServerError, match="is hush serve running there"):
        call(Client("http://127.0.0.1:9"))
