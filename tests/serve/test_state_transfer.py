"""A live stream continues on another server with the same samples; a state that no server signed is rejected."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import ROUND_OFF, RunningServer, noise, serving, wait_until

import unhiss
from unhiss.infer.stream import Stream
from unhiss.serve.client import RemoteStream, ServerError
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import RequestError, parse_start
from unhiss.serve.security import StateSigner

RATE = 44100
Pair = tuple[RunningServer, RunningServer]


@pytest.fixture(scope="module")
def pair(leveller: Path) -> Iterator[Pair]:
    with serving(leveller, state_key="shared") as one, serving(leveller, state_key="shared") as other:
        yield one, other


def push_blocks(stream: RemoteStream, audio: np.ndarray, size: int = 882) -> list[np.ndarray]:
    return [stream.push(audio[:, i : i + size]) for i in range(0, audio.shape[1], size)]


@pytest.mark.parametrize(("channels", "cut"), [(1, 0), (2, 1), (1, 30001)])
def test_a_stream_that_moves_returns_the_offline_result(
    channels: int, cut: int, pair: Pair, leveller: Path, rng: np.random.Generator
) -> None:
    one, other = pair
    audio = noise(rng, channels, RATE)
    with one.client.stream(RATE, channels, mix=0.7, atten_limit_db=9.0) as stream:
        parts = push_blocks(stream, audio[:, :cut])
        state = stream.save()
    with other.client.stream(RATE, channels, state=state) as stream:
        parts += [*push_blocks(stream, audio[:, cut:]), stream.flush()]
        expected: dict[str, Any] = {"type": "settings", "atten_limit_db": 9.0, "mix": 0.7, "bypass": False}
        assert stream.set(bypass=False) == expected
    result = np.concatenate(parts, axis=1)[:, stream.latency.samples :]
    offline = unhiss.denoise(audio, RATE, model=leveller, mix=0.7, atten_limit_db=9.0)
    np.testing.assert_allclose(result, offline, atol=ROUND_OFF)


def test_a_save_comes_after_all_audio_and_changes_nothing(pair: Pair, leveller: Path, rng: np.random.Generator) -> None:
    """Sent without waiting: before `saved` come as many samples as were sent before `save`."""
    audio = noise(rng, 1, RATE)
    with pair[0].client.stream(RATE) as stream:
        parts = []
        for first in range(0, RATE, RATE // 5):
            stream.send(audio[:, first : first + RATE // 5])
            stream.save()
            parts.append(stream.receive())
            assert parts[-1].shape == (1, RATE // 5)
        result = np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]
    np.testing.assert_allclose(result, unhiss.denoise(audio, RATE, model=leveller), atol=ROUND_OFF)


def test_a_client_that_is_told_of_a_shutdown_continues_elsewhere(leveller: Path, rng: np.random.Generator) -> None:
    audio = noise(rng, 1, RATE)
    with serving(leveller, state_key="k", drain_s=120) as one, serving(leveller, state_key="k") as other:
        stream, parts = one.client.stream(RATE), []
        for number, block in enumerate(np.split(audio, 50, axis=1)):
            parts.append(stream.push(block))
            if number == 20:
                one.http.should_exit = True
                wait_until(lambda: one.service.streams.closed, "the server drains")
            if stream.draining:
                state = stream.save()
                stream.close()
                stream = other.client.stream(RATE, state=state)
        assert len(other.service.connections) == 1
        result = np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]
        stream.close()
    np.testing.assert_allclose(result, unhiss.denoise(audio, RATE, model=leveller), atol=ROUND_OFF)


def test_audio_sent_since_a_save_can_be_sent_again(pair: Pair, rng: np.random.Generator) -> None:
    """As after a crash of the server: from one state, the same results come twice."""
    before, since = noise(rng, 2, RATE // 4), noise(rng, 2, 5000)
    with pair[0].client.stream(RATE, 2) as stream:
        stream.push(before)
        state = stream.save()
        lost = stream.push(since)
    with pair[1].client.stream(RATE, 2, state=state) as stream:
        np.testing.assert_allclose(stream.push(since), lost, atol=ROUND_OFF)


@pytest.fixture(scope="module")
def state(pair: Pair) -> str:
    with pair[0].client.stream(RATE) as stream:
        stream.push(np.zeros(1000, np.float32))
        return stream.save()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda state: "no base64!", "a state that is damaged"),
        (lambda state: state[:-8], "a state that is damaged"),
        (lambda state: "A" + state[1:] if state[0] != "A" else "B" + state[1:], "another state key; give all servers"),
        (lambda state: StateSigner("guessed").sign(base64.b64decode(state)[32:]), "another state key"),
    ],
)
def test_a_state_without_a_valid_signature_is_rejected(
    change: Callable[[str], str], line: str, pair: Pair, state: str
) -> None:
    with pytest.raises(ServerError, match=line) as error:
        pair[1].client.stream(RATE, state=change(state))
    assert error.value.status == 400


@pytest.mark.parametrize(("options", "line"), [({"rate": 48000}, "rate = 44100; this one has 48000"),
                                               ({"rate": RATE, "channels": 2}, "channels = 1; this one has 2"),
                                               ({"rate": RATE, "model": "small"}, "this one has small")])  # fmt: skip
def test_a_state_of_another_kind_of_stream_is_rejected(
    options: dict[str, Any], line: str, pair: Pair, state: str
) -> None:
    with pytest.raises(ServerError, match=line):
        pair[1].client.stream(state=state, **options)


def test_a_server_without_a_key_accepts_only_its_own_states(server: RunningServer, state: str) -> None:
    with server.client.stream(RATE) as stream:
        own_state = stream.save()
    with server.client.stream(RATE, state=own_state) as stream:
        assert stream.push(np.zeros(100, np.float32)).shape == (100,)
    with pytest.raises(ServerError, match="another state key"):
        server.client.stream(RATE, state=state)


def test_the_longest_state_fits_into_a_message() -> None:
    """Of eight channels at 192 kHz, with the model that ships."""
    state = StateSigner().sign(Stream(192000, 8).save())
    text = json.dumps({"type": "start", "rate": 192000, "channels": 8, "state": state})
    assert len(text) < Limits().max_message_bytes and parse_start(text).state


def test_a_signer_accepts_only_states_signed_with_its_key() -> None:
    assert StateSigner("a").verify(StateSigner("a").sign(b"state")) == b"state"
    for key in ("b", ""):
        with pytest.raises(RequestError, match="UNHISS_STATE_KEY"):
            StateSigner(key).verify(StateSigner("a").sign(b"state"))
