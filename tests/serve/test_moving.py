"""A live stream goes on at another server with the same samples; a state that no server has made is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import ROUND_OFF, Running, noise, serving, wait_until

import unhiss
from unhiss.serve.client import LiveStream, ServerError
from unhiss.serve.protocol import Refusal
from unhiss.serve.seal import Seal

RATE = 44100


@pytest.fixture(scope="module")
def pair(leveller: Path) -> Iterator[tuple[Running, Running]]:
    with serving(leveller, state_key="shared") as one, serving(leveller, state_key="shared") as other:
        yield one, other


def pushed(stream: LiveStream, sound: np.ndarray, size: int = 882) -> list[np.ndarray]:
    return [stream.push(sound[:, i : i + size]) for i in range(0, sound.shape[1], size)]


@pytest.mark.parametrize(("channels", "cut"), [(1, 0), (2, 1), (1, 30001)])
def test_a_stream_that_moves_is_the_offline_result(
    channels: int, cut: int, pair: tuple[Running, Running], leveller: Path, rng: np.random.Generator
) -> None:
    one, other = pair
    sound = noise(rng, channels, RATE)
    with one.client.stream(RATE, channels, mix=0.7, atten_lim=9.0, guard=False) as stream:
        parts = pushed(stream, sound[:, :cut])
        state = stream.save()
    with other.client.stream(RATE, channels, state=state) as stream:
        parts += [*pushed(stream, sound[:, cut:]), stream.flush()]
        assert stream.set(bypass=False) == {"type": "set", "atten_lim": 9.0, "mix": 0.7, "bypass": False}
    found = np.concatenate(parts, axis=1)[:, stream.latency.samples :]
    wanted = unhiss.denoise(sound, RATE, model=leveller, mix=0.7, atten_limit_db=9.0, guard=False)
    np.testing.assert_allclose(found, wanted, atol=ROUND_OFF)


def test_a_save_comes_behind_all_sound_and_changes_nothing(
    pair: tuple[Running, Running], leveller: Path, rng: np.random.Generator
) -> None:
    """Sent without waiting: what comes before `saved` is as much as went in before `save`."""
    sound = noise(rng, 1, RATE)
    with pair[0].client.stream(RATE) as stream:
        parts = []
        for first in range(0, RATE, RATE // 5):
            stream.send(sound[:, first : first + RATE // 5])
            stream.save()
            parts.append(stream.receive())
            assert parts[-1].shape == (1, RATE // 5)
        found = np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]
    np.testing.assert_allclose(found, unhiss.denoise(sound, RATE, model=leveller), atol=ROUND_OFF)


def test_a_client_that_is_told_of_the_end_goes_on_elsewhere(leveller: Path, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, RATE)
    with serving(leveller, state_key="k", drain_s=20) as one, serving(leveller, state_key="k") as other:
        stream, parts = one.client.stream(RATE), []
        for number, block in enumerate(np.split(sound, 50, axis=1)):
            parts.append(stream.push(block))
            if number == 20:
                one.server.should_exit = True
                wait_until(lambda: one.service.streams.closed, "the server drains")
            if stream.draining:
                state = stream.save()
                stream.close()
                stream = other.client.stream(RATE, state=state)
        assert number and len(other.service.conversations) == 1
        found = np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]
        stream.close()
    np.testing.assert_allclose(found, unhiss.denoise(sound, RATE, model=leveller), atol=ROUND_OFF)


def test_what_was_sent_since_a_save_can_be_sent_again(pair: tuple[Running, Running], rng: np.random.Generator) -> None:
    """A server that is killed: from one state the same answers come twice."""
    before, since = noise(rng, 2, RATE), noise(rng, 2, 5000)
    with pair[0].client.stream(RATE, 2) as stream:
        stream.push(before)
        state = stream.save()
        lost = stream.push(since)
    with pair[1].client.stream(RATE, 2, state=state) as stream:
        np.testing.assert_allclose(stream.push(since), lost, atol=ROUND_OFF)


@pytest.fixture(scope="module")
def state(pair: tuple[Running, Running]) -> str:
    with pair[0].client.stream(RATE) as stream:
        stream.push(np.zeros(1000, np.float32))
        return stream.save()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda state: "no base64!", "a state that is damaged"),
        (lambda state: state[:-8], "a state that is damaged"),
        (lambda state: "A" + state[1:] if state[0] != "A" else "B" + state[1:], "another state key; give all servers"),
        (lambda state: Seal("guessed").close(base64.b64decode(state)[32:]), "another state key"),
    ],
)
def test_a_state_that_no_such_server_made_is_refused(
    wrong: Callable[[str], str], line: str, pair: tuple[Running, Running], state: str
) -> None:
    with pytest.raises(ServerError, match=line) as refused:
        pair[1].client.stream(RATE, state=wrong(state))
    assert refused.value.status == 400


@pytest.mark.parametrize(("hello", "line"), [({"rate": 48000}, "rate = 44100; this one has 48000"),
                                             ({"rate": RATE, "channels": 2}, "channels = 1; this one has 2"),
                                             ({"rate": RATE, "model": "small"}, "this one has small")])  # fmt: skip
def test_a_state_of_another_stream_is_refused(
    hello: dict, line: str, pair: tuple[Running, Running], state: str
) -> None:
    with pytest.raises(ServerError, match=line):
        pair[1].client.stream(hello.pop("rate"), state=state, **hello)


def test_a_server_that_is_alone_takes_its_own_streams_back_and_no_others(
    server: Running, pair: tuple[Running, Running], state: str
) -> None:
    with server.client.stream(RATE) as stream:
        own = stream.save()
    with server.client.stream(RATE, state=own) as stream:
        assert stream.push(np.zeros(100, np.float32)).shape == (100,)
    with pytest.raises(ServerError, match="another state key"):
        server.client.stream(RATE, state=state)


def test_states_that_nobody_reads_are_not_made(server: Running) -> None:
    """A thousand saves at once: one is answered, and the next is made when that is taken."""
    with server.client.stream(48000, 8) as stream:
        for _ in range(1000):
            stream._tell({"type": "save"})
        (guest,) = server.service.conversations
        (seat,) = server.service.desk._seats
        assert guest and max(len(seat._answers) for _ in range(200) if stream._told("saved")) <= 1


def test_the_longest_state_fits_a_message() -> None:
    """Of eight channels at 192 kHz, with the model that ships."""
    from unhiss.infer.stream import Stream
    from unhiss.serve.limits import Limits
    from unhiss.serve.protocol import read_hello

    text = json.dumps({"type": "hello", "rate": 192000, "channels": 8, "state": Seal().close(Stream(192000, 8).save())})
    assert len(text) < Limits().message_bytes and read_hello(text).state


def test_a_seal_opens_what_it_closed_and_nothing_else() -> None:
    assert Seal("a").open(Seal("a").close(b"state")) == b"state"
    for key in ("b", ""):
        with pytest.raises(Refusal, match="UNHISS_STATE_KEY"):
            Seal(key).open(Seal("a").close(b"state"))
