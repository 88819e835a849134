"""Recordings sent to a server: the response is the offline result in the requested format, or one clear error."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import sys
import threading
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from serving import (
    PCM16_STEP,
    ROUND_OFF,
    TIMEOUT_S,
    RunningServer,
    error_message,
    form,
    noise,
    request,
    serving,
    stream_audio,
    wait_until,
    wav,
)

import unhiss
from unhiss.errors import AudioError
from unhiss.media.formats import AudioFormat
from unhiss.media.source import open_source
from unhiss.media.writer import open_writer
from unhiss.serve import worker
from unhiss.serve.client import ServerError
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import RequestError
from unhiss.serve.worker import DenoiseRequest
from unhiss.serve.worker_pool import DenoiseJob


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize("as_form", [True, False])
def test_the_response_is_the_offline_result(
    subtype: str, as_form: bool, server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    data = wav(noise(rng, 2, 50000), 44100, subtype)
    body, headers = form(data) if as_form else (data, {})
    status, answer, content = request(server, "POST", "/v1/denoise", body, **headers)
    assert (status, answer["content-type"], int(answer["content-length"])) == (200, "audio/wav", len(content))
    audio, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    result, result_rate = sf.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert (result_rate, result.shape, sf.info(io.BytesIO(content)).subtype) == (rate, audio.shape, subtype)
    expected = unhiss.denoise(np.ascontiguousarray(audio.T), rate, model=leveller).T
    np.testing.assert_allclose(result, expected, atol=ROUND_OFF + (0.51 * PCM16_STEP if subtype == "PCM_16" else 0))


def test_a_form_may_have_options(server: RunningServer, leveller: Path, rng: np.random.Generator) -> None:
    audio = noise(rng, 1, 20000)
    body, headers = form(wav(audio, 16000), mix="0.25", format="float32")
    status, answer, content = request(server, "POST", "/v1/denoise", body, **headers)
    assert (status, answer["x-sample-rate"], answer["x-channels"]) == (200, "16000", "1")
    expected = unhiss.denoise(audio[0], 16000, model=leveller, mix=0.25)
    np.testing.assert_allclose(np.frombuffer(content, "<f4"), expected, atol=ROUND_OFF)


@pytest.mark.parametrize(
    ("query", "accept", "media_type", "written"),
    [
        ("?format=flac", "audio/wav", "audio/flac", "FLAC"),
        ("", "audio/flac, audio/wav;q=0.5", "audio/flac", "FLAC"),
        ("", "text/html, */*", "audio/wav", "WAV"),
        ("?format=ogg", "", "audio/ogg", "OGG"),
        ("?format=mp3", "", "audio/mpeg", "MP3"),
    ],
)
def test_the_output_has_the_requested_format(
    query: str, accept: str, media_type: str, written: str, server: RunningServer, rng: np.random.Generator
) -> None:
    headers = {"accept": accept} if accept else {}
    data = wav(noise(rng, 1, 30000), 16000)
    status, answer, content = request(server, "POST", f"/v1/denoise{query}", data, **headers)
    assert (status, answer["content-type"]) == (200, media_type)
    info = sf.info(io.BytesIO(content))
    assert (info.format, info.samplerate, info.frames) == (written, 16000, 30000)


def test_a_response_names_the_speakers_that_the_upload_names(
    server: RunningServer, rng: np.random.Generator, tmp_path: Path
) -> None:
    like = AudioFormat(16000, 6, 3000, "WAV", "PCM_16", layout="5.1(side)")
    with open_writer(tmp_path / "a.wav", like) as out:
        out.write(noise(rng, 6, 3000))
    for query in ("", "?format=flac"):
        _, _, content = request(server, "POST", f"/v1/denoise{query}", (tmp_path / "a.wav").read_bytes())
        (tmp_path / "b").write_bytes(content)
        assert open_source(tmp_path / "b").format.layout == "5.1(side)"
        assert sf.info(io.BytesIO(content)).frames == 3000


def test_a_lossy_upload_keeps_its_number_of_samples(server: RunningServer, rng: np.random.Generator) -> None:
    buffer = io.BytesIO()
    sf.write(buffer, noise(rng, 1, 33333)[0], 16000, format="MP3")
    _, _, content = request(server, "POST", "/v1/denoise", buffer.getvalue())
    assert sf.info(io.BytesIO(content)).frames == sf.read(io.BytesIO(buffer.getvalue()))[0].size


@pytest.mark.parametrize(
    ("query", "body", "status", "line"),
    [
        ("?mix=2", b"x", 400, "mix = 2.0; expected 0"),
        ("?mix=half", b"x", 400, "mix = 'half'; expected a number"),
        ("?atten_limit_db=nan", b"x", 400, "atten_limit_db = 'nan'; expected a number"),
        ("?guard=true", b"x", 400, "guard is gone: models now leave clean speech alone by themselves; omit it"),
        ("?track=0", b"x", 400, "track = '0'; expected the number of an audio track, from 1"),
        ("?track=2", wav(np.zeros((1, 9), np.float32), 8000), 422, "no audio track 2; it holds 1: FLOAT, 1 channel"),
        ("?format=doc", b"x", 400, "format = 'doc'; expected one of wav"),
        ("?colour=red", b"x", 400, "unknown option 'colour'; expected one of model"),
        ("?model=tiny", b"x", 404, "no model 'tiny'"),
        ("?model=/etc/passwd", b"x", 404, "no model"),
        ("", b"", 400, "an empty body"),
        ("", b"x" * 999, 422, "not a readable recording"),
        ("", wav(np.zeros((1, 9), np.float32), 44100)[:50], 422, "truncated|not a readable"),
    ],
)
def test_an_invalid_request_is_rejected_with_what_is_valid(
    query: str, body: bytes, status: int, line: str, server: RunningServer
) -> None:
    result, _, content = request(server, "POST", f"/v1/denoise{query}", body)
    assert (result, re.search(line, error_message(content)) is not None) == (status, True), content
    assert "/tmp" not in error_message(content) and "recording:" not in error_message(content)


def test_a_client_that_accepts_no_audio_gets_406(server: RunningServer) -> None:
    status, _, content = request(server, "POST", "/v1/denoise", b"x", accept="text/html")
    assert status == 406 and "audio/wav" in error_message(content)


def test_a_form_without_a_recording_is_rejected_with_an_example(server: RunningServer) -> None:
    body, headers = form(b"x", field="sound")
    status, _, content = request(server, "POST", "/v1/denoise", body, **headers)
    assert status == 400 and "curl -F file=@noisy.wav" in error_message(content)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/cron.d/x.wav", "a\\..\\b.wav", ".wav", "x" * 3000 + ".wav"])
def test_the_file_name_of_an_upload_is_part_of_no_path(
    name: str, server: RunningServer, rng: np.random.Generator
) -> None:
    body, headers = form(wav(noise(rng, 1, 3000), 16000), name=name)
    assert request(server, "POST", "/v1/denoise", body, **headers)[0] == 200


def test_a_recording_beyond_the_limits_is_rejected(leveller: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    """As the worker rejects it, and at the server for the size of the body."""
    (tmp_path / "recording").write_bytes(wav(noise(rng, 2, 16000), 16000))

    def error_of(limits: Limits) -> str:
        with pytest.raises(RequestError) as error:
            worker.denoise(tmp_path / "recording", tmp_path, DenoiseRequest(model=str(leveller)), limits)
        return f"{error.value.status}: {error.value}"

    assert error_of(Limits(max_duration_s=0.5)) == "413: 1 s of audio; expected 0 s at most"
    assert "400: rate = 16,000 Hz; expected 1,000 to 8,000" in error_of(Limits(max_rate=8000))
    assert "400: channels = 2; expected 1 to 1" in error_of(Limits(max_channels=1))
    with serving(leveller, max_body_mb=0.2) as server:
        status, _, content = request(server, "POST", "/v1/denoise", bytes(300_000))
        assert status == 413 and "0.2 MB at most" in error_message(content)


def test_a_worker_stops_when_the_client_has_left(
    leveller: Path, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = tmp_path / "recording", tmp_path / "request"
    source.write_bytes(wav(noise(rng, 1, 48000), 8000))
    folder.mkdir()
    monkeypatch.setattr(worker, "_write_info", lambda folder, _: shutil.rmtree(folder))
    worker.denoise(source, folder, DenoiseRequest(model=str(leveller)), Limits())
    assert not folder.exists()


def test_a_worker_writes_each_block_before_it_denoises_the_next(
    leveller: Path, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, sizes = 8000, []
    (tmp_path / "recording").write_bytes(wav(noise(rng, 1, 10 * rate), rate))
    encode = worker.encode_samples

    def encode_and_record(block: np.ndarray, format: str) -> bytes:
        assert (tmp_path / worker.INFO).is_file(), "the size is known before the first block"
        sizes.append((tmp_path / worker.OUTPUT).stat().st_size)
        return encode(block, format)

    monkeypatch.setattr(worker, "encode_samples", encode_and_record)
    worker.denoise(tmp_path / "recording", tmp_path, DenoiseRequest(model=str(leveller)), Limits())
    assert len(sizes) > 3 and sizes == sorted(set(sizes)), "the file grows with every block"
    size = json.loads((tmp_path / worker.INFO).read_text())[0]
    assert size == (tmp_path / worker.OUTPUT).stat().st_size


@pytest.mark.parametrize("client_stays", [True, False])
def test_a_response_starts_before_the_worker_is_done(
    client_stays: bool, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is one that writes when the test says so. A client that leaves ends its request."""
    output = bytes(range(256)) * 1024
    half, future = len(output) // 2, Future[None]()
    future.set_running_or_notify_cancel()
    (tmp_path / worker.OUTPUT).write_bytes(output[:half])
    (tmp_path / worker.INFO).write_text(json.dumps([len(output), 48000, 1]))
    monkeypatch.setattr(server.service.workers, "submit", lambda *_: DenoiseJob(future, tmp_path))
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)) as connection:
        connection.request("POST", "/v1/denoise", b"a recording")
        with connection.getresponse() as response:
            assert (response.length, response.read(half)) == (len(output), output[:half])
            if client_stays:
                with (tmp_path / worker.OUTPUT).open("ab") as file:
                    file.write(output[half:])
                future.set_result(None)
                assert response.read() == output[half:]
    with (tmp_path / worker.OUTPUT).open("ab") as file:
        file.write(output)  # a worker goes on until the request has ended
    wait_until(lambda: not len(server.service.files), "the request has ended")


def test_live_audio_is_processed_while_files_are_denoised(
    server: RunningServer, leveller: Path, rng: np.random.Generator
) -> None:
    data = wav(noise(rng, 1, 48000 * 5), 48000)
    uploads = [threading.Thread(target=request, args=(server, "POST", "/v1/denoise", data)) for _ in range(2)]
    for upload in uploads:
        upload.start()
    audio = noise(rng, 1, 48000)
    result = stream_audio(server.client, audio, 48000, 960)
    np.testing.assert_allclose(result, unhiss.denoise(audio, 48000, model=leveller), atol=ROUND_OFF)
    for upload in uploads:
        upload.join()


def test_a_worker_that_dies_fails_its_file_and_no_other(leveller: Path, rng: np.random.Generator) -> None:
    with serving(leveller) as server:
        data = wav(np.tile(noise(rng, 1, 48000), (1, 300)), 48000)
        results: list = []
        upload = threading.Thread(
            target=lambda: results.append(request(server, "POST", "/v1/denoise?format=flac", data))
        )
        upload.start()
        executor = server.service.workers._executor
        items = executor._pending_work_items
        wait_until(lambda: any(item.future.running() for item in list(items.values())), "the worker has the file")
        for process in list(executor._processes.values()):
            process.kill()
        upload.join()
        assert results[0][0] == 500 and "died" in error_message(results[0][2])
        assert request(server, "POST", "/v1/denoise", wav(noise(rng, 1, 800), 16000))[0] == 200


def test_the_client_writes_a_complete_file_or_none(server: RunningServer, tmp_path: Path, leveller: Path) -> None:
    audio = noise(np.random.default_rng(1), 2, 20000)
    unhiss.write(tmp_path / "noisy.wav", audio, 16000, "FLOAT")
    server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", mix=0.5)
    result, rate = unhiss.read(tmp_path / "clean.wav")
    np.testing.assert_allclose(result, unhiss.denoise(audio, rate, model=leveller, mix=0.5), atol=ROUND_OFF)
    with pytest.raises(ServerError, match="mix = 7"):
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "other.wav", mix=7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.wav", "noisy.wav"]


def test_the_client_refuses_what_it_would_overwrite_and_what_is_missing(server: RunningServer, tmp_path: Path) -> None:
    unhiss.write(tmp_path / "noisy.wav", np.zeros(8000), 16000)
    (tmp_path / "clean.wav").write_bytes(b"as it was")
    with pytest.raises(AudioError, match=r"clean\.wav exists; force=True overwrites it"):
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav")
    assert (tmp_path / "clean.wav").read_bytes() == b"as it was"
    server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", force=True)
    assert unhiss.read(tmp_path / "clean.wav")[0].size == 8000
    with pytest.raises(AudioError, match=r"missing\.wav: no such file"):
        server.client.denoise_file(tmp_path / "missing.wav", tmp_path / "new.wav")
    with pytest.raises(AudioError, match="cannot be written"):
        server.client.denoise_file(tmp_path / "noisy.wav", tmp_path / "no folder" / "new.wav")


def test_a_client_is_told_what_the_server_reads_and_the_operator_what_to_install(
    tmp_path: Path, leveller: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    unhiss.write(buffer, np.zeros(9000), 48000, format="m4a")
    (tmp_path / "recording").write_bytes(buffer.getvalue())
    monkeypatch.setitem(sys.modules, "av", None)
    worker._log.cache_clear()
    for _ in range(2):
        with pytest.raises(RequestError, match="it reads WAV, FLAC, Ogg, Opus, MP3") as error:
            worker.denoise(tmp_path / "recording", tmp_path, DenoiseRequest(model=str(leveller)), Limits())
        assert error.value.status == 422 and "pip" not in str(error.value)
    line = "unhiss: a recording that was sent needs av, which is not installed; run: pip install 'unhiss[media]'"
    assert capfd.readouterr().err.splitlines() == [line], "once"
