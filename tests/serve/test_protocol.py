"""The wire format: what is said back is what was meant, and what cannot be is refused in one line."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unhiss.serve import protocol
from unhiss.serve.protocol import Controls, Refusal, read_control, read_hello, samples, sound_bytes

HELLO = {"type": "hello", "rate": 48000}


def test_a_hello_needs_only_a_rate() -> None:
    hello = read_hello(json.dumps(HELLO))
    assert (hello.rate, hello.channels, hello.format, hello.controls) == (48000, 1, "float32", Controls())


def test_a_hello_may_set_all_that_a_set_may() -> None:
    hello = read_hello(json.dumps(HELLO | {"atten_lim": 6, "mix": 0.5, "bypass": True, "guard": False}))
    assert (hello.controls, hello.guard) == (Controls(atten_lim=6, mix=0.5, bypass=True), False)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rate": "48000"}, "rate = '48000'; expected int"),
        ({"rate": True}, "rate = True; expected int"),
        ({"rate": 48000.0}, "rate = 48000.0; expected int"),
        ({"format": "mp3"}, "format = 'mp3'; expected pcm16 or float32"),
        ({"mix": 1.5}, "mix = 1.5; expected 0"),
        ({"mix": float("nan")}, "mix = nan; expected 0"),
        ({"atten_lim": -1}, "atten_lim = -1; expected dB from 0"),
        ({"atten_lim": float("inf")}, "atten_lim = inf"),
        ({"bypass": 1}, "bypass = 1; expected bool"),
        ({"colour": "red"}, "field = 'colour'; expected one of rate"),
        ({"controls": {}}, "hello without rate"),
        ({"type": "set"}, "type = 'set'; expected hello"),
        ({"model": "x" * 5000}, "expected 4,096 at most"),
        ({"state": "x" * (2 << 20)}, "expected 1,052,672 at most"),
        ({"state": "x", "mix": 0.5, "guard": True}, "fields = ['guard', 'mix']; expected none of them beside state"),
    ],
)
def test_a_wrong_hello_is_refused_with_value_and_expectation(change: dict, line: str) -> None:
    with pytest.raises(Refusal, match=re.escape(line)) as refused:
        read_hello(json.dumps(HELLO | change))
    assert (refused.value.status, refused.value.close_code) == (400, 4400)


@given(
    st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
)
def test_any_other_text_is_a_refusal_and_nothing_else(text: str) -> None:
    for read in (read_hello, lambda text: read_control(text, Controls())):
        with pytest.raises(Refusal):
            read(text)


def test_nested_brackets_are_a_refusal() -> None:
    with pytest.raises(Refusal, match="no JSON"):
        read_hello("[" * 4000)


def test_a_set_changes_what_it_names_and_keeps_the_rest() -> None:
    now = Controls(atten_lim=12, mix=0.5)
    assert read_control('{"type": "set", "bypass": true}', now) == Controls(atten_lim=12, mix=0.5, bypass=True)
    assert read_control('{"type": "set", "atten_lim": null}', now) == Controls(mix=0.5)
    assert read_control('{"type": "flush"}', now) == "flush"
    assert read_control('{"type": "save"}', now) == "save"


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_float_samples_survive_the_wire(channels: int, rng: np.random.Generator) -> None:
    sound = rng.uniform(-2, 2, (channels, 257)).astype(np.float32)
    np.testing.assert_array_equal(samples(sound_bytes(sound, "float32"), "float32", channels), sound)


def test_pcm16_is_little_endian_interleaved_and_clipped() -> None:
    sound = np.array([[0.0, 0.5, 2.0], [-1.0, 1 / 32768, -2.0]], np.float32)
    data = sound_bytes(sound, "pcm16")
    assert data.hex() == "0000008000400100ff7f0080"
    np.testing.assert_array_equal(samples(data[:8], "pcm16", 2), sound[:, :2])


@pytest.mark.parametrize(("format", "channels", "size"), [("pcm16", 1, 3), ("pcm16", 2, 6), ("float32", 2, 12)])
def test_half_a_frame_is_refused(format: str, channels: int, size: int) -> None:
    with pytest.raises(Refusal, match="expected whole frames"):
        samples(bytes(size), format, channels)


def test_a_refusal_crosses_between_processes() -> None:
    refusal = pickle.loads(pickle.dumps(Refusal(413, "too much", "body")))
    assert (refusal.status, str(refusal), refusal.reason) == (413, "too much", "body")
    assert Refusal(503, "bye", "draining").close_code == protocol.RESTART
