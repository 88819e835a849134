"""Recordings sent to a real server: the answer is the offline result in the format asked for, or one clear line."""

from __future__ import annotations

import http.client
import io
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from serving import ROUND_OFF, STEP, Running, form, message, noise, request, serving, streamed, wait_until, wav

import unhiss
from unhiss.serve.client import ServerError


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
    wanted = unhiss.denoise(np.ascontiguousarray(sound.T), rate, model=leveller).T
    np.testing.assert_allclose(found, wanted, atol=ROUND_OFF if subtype == "FLOAT" else 0.51 * STEP + ROUND_OFF)


def test_a_form_may_hold_the_settings(server: Running, leveller: Path, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 20000)
    body, headers = form(wav(sound, 16000), mix="0.25", format="float32")
    status, facts, answer = request(server, "POST", "/v1/denoise", body, **headers)
    assert (status, facts["x-sample-rate"], facts["x-channels"]) == (200, "16000", "1")
    wanted = unhiss.denoise(sound[0], 16000, model=leveller, mix=0.25)
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


def test_limits_are_answers(leveller: Path, rng: np.random.Generator) -> None:
    data = wav(noise(rng, 2, 16000), 16000)
    with serving(leveller, duration_s=0.5) as server:
        status, _, answer = request(server, "POST", "/v1/denoise", data)
        assert status == 413 and message(answer) == "1 s of sound; expected 0 s at most"
    with serving(leveller, channels=1, rate=8000, body_mb=0.2) as server:
        assert "rate = 16,000 Hz; expected 1,000 to 8,000" in message(request(server, "POST", "/v1/denoise", data)[2])
        status, _, answer = request(server, "POST", "/v1/denoise", bytes(300_000))
        assert status == 413 and "0.2 MB at most" in message(answer)


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
    np.testing.assert_allclose(found, unhiss.denoise(sound, 48000, model=leveller), atol=ROUND_OFF)
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
    unhiss.write(tmp_path / "noisy.wav", sound, 16000, "FLOAT")
    server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", mix=0.5)
    found, rate = unhiss.read(tmp_path / "clean.wav")
    np.testing.assert_allclose(found, unhiss.denoise(sound, rate, model=leveller, mix=0.5), atol=ROUND_OFF)
    with pytest.raises(ServerError, match="mix = 7"):
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "other.wav", mix=7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.wav", "noisy.wav"]
