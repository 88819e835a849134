"""The probability of speech in a live stream: sent by request, before the audio, with the values of unhiss.Stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import RunningServer, noise, serving
from websockets.sync.client import connect

import unhiss
from unhiss.serve.client import ServerError
from unhiss.serve.protocol import PATH, RequestError, parse_start

ROUNDED = 0.0006  # to three decimals


@pytest.fixture(scope="module")
def detector(causal_model: Callable[..., Path]) -> Path:
    return causal_model("detector", 0.5)


@pytest.fixture(scope="module")
def detecting(detector: Path) -> Iterator[RunningServer]:
    with serving(detector) as server:
        yield server


@pytest.mark.parametrize(("channels", "size"), [(1, 320), (2, 100), (2, 5000)])
def test_the_client_has_the_probability_of_the_newest_frame_after_each_push(
    channels: int, size: int, detecting: RunningServer, detector: Path, rng: np.random.Generator
) -> None:
    audio = noise(rng, channels, 15000) * 10 ** rng.uniform(-3, 0, 15000 // 500).repeat(500).astype(np.float32)
    local = unhiss.Stream(16000, channels, detector)
    with detecting.client.stream(16000, channels, speech=True) as stream:
        np.testing.assert_array_equal(stream.speech_probability, np.zeros(channels))
        for first in range(0, 15000, size):
            block = audio[:, first : first + size]
            np.testing.assert_allclose(stream.push(block), local.push(block), atol=1e-5)
            assert stream.speech_probability is not None and local.speech_probability is not None
            np.testing.assert_allclose(stream.speech_probability, local.speech_probability, atol=ROUNDED)
        stream.flush()


def test_nothing_is_sent_unless_it_is_asked_for(detecting: RunningServer, rng: np.random.Generator) -> None:
    received: dict[bool, list[str]] = {}
    for asked in (False, True):
        with connect(f"ws://127.0.0.1:{detecting.port}{PATH}") as socket:
            socket.send(json.dumps({"type": "start", "rate": 16000} | ({"speech": True} if asked else {})))
            assert json.loads(socket.recv())["type"] == "ready"
            socket.send(noise(rng, 320).tobytes())
            socket.send('{"type": "flush"}')
            messages = received[asked] = []
            while "flushed" not in messages:
                message = socket.recv()
                messages.append("audio" if isinstance(message, bytes) else json.loads(message)["type"])
    assert "speech" not in received[False]
    assert received[True].index("speech") == 0 and received[True][1] == "audio"
    with detecting.client.stream(16000) as stream:
        stream.push(noise(rng, 320))
        assert stream.speech_probability is None


def test_a_model_without_it_is_named(causal_model: Callable[..., Path]) -> None:
    with serving(causal_model("gain", 0.5)) as server:
        with pytest.raises(
            ServerError, match=r"speech = True; expected false, since \S+ gives no probability"
        ) as error:
            server.client.stream(16000, speech=True)
        assert error.value.status == 400
        with server.client.stream(16000, speech=False) as stream:
            assert stream.speech_probability is None


def test_a_continued_stream_may_ask_for_it(detecting: RunningServer, rng: np.random.Generator) -> None:
    with detecting.client.stream(16000, mix=0.5) as stream:
        stream.push(noise(rng, 1600))
        state = stream.save()
    with detecting.client.stream(16000, state=state, speech=True) as stream:
        stream.push(noise(rng, 1600))
        assert stream.speech_probability is not None and stream.speech_probability[0] > 0


def test_anything_but_true_or_false_is_refused() -> None:
    with pytest.raises(RequestError, match="speech = 1; expected bool"):
        parse_start('{"type": "start", "rate": 16000, "speech": 1}')
