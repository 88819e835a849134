"""The wire protocol: messages are parsed to their values, and an invalid one is rejected with one line."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unhiss.serve import protocol
from unhiss.serve.protocol import (
    Command,
    Controls,
    RequestError,
    decode_samples,
    encode_samples,
    parse_request,
    parse_start,
)

START = {"type": "start", "rate": 48000}


def test_a_start_message_needs_only_a_rate() -> None:
    start = parse_start(json.dumps(START))
    assert (start.rate, start.channels, start.format, start.controls) == (48000, 1, "float32", Controls())


def test_a_start_message_may_have_all_controls() -> None:
    start = parse_start(json.dumps(START | {"atten_limit_db": 6, "mix": 0.5, "bypass": True}))
    assert start.controls == Controls(atten_limit_db=6, mix=0.5, bypass=True)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rate": "48000"}, "rate = '48000'; expected int"),
        ({"rate": True}, "rate = True; expected int"),
        ({"rate": 48000.0}, "rate = 48000.0; expected int"),
        ({"format": "mp3"}, "format = 'mp3'; expected pcm16 or float32"),
        ({"mix": 1.5}, "mix = 1.5; expected 0"),
        ({"mix": float("nan")}, "mix = nan; expected 0"),
        ({"atten_limit_db": -1}, "atten_limit_db = -1; expected dB from 0"),
        ({"atten_limit_db": float("inf")}, "atten_limit_db = inf"),
        ({"bypass": 1}, "bypass = 1; expected bool"),
        ({"colour": "red"}, "field = 'colour'; expected one of rate"),
        ({"controls": {}}, "field = 'controls'; expected one of rate"),
        ({"type": "set"}, "type = 'set'; expected start"),
        ({"model": "x" * 5000}, "expected 4,096 at most"),
        ({"state": "x" * (2 << 20)}, "expected 1,052,672 at most"),
        ({"guard": True}, "guard is gone: models now leave clean speech alone by themselves; omit it"),
        ({"guard": False, "state": "x"}, "guard is gone"),
        ({"state": "x", "mix": 0.5, "bypass": True}, "fields = ['bypass', 'mix']; expected none of them beside state"),
    ],
)
def test_an_invalid_start_message_is_rejected_with_value_and_expectation(change: dict, line: str) -> None:
    with pytest.raises(RequestError, match=re.escape(line)) as error:
        parse_start(json.dumps(START | change))
    assert (error.value.status, error.value.close_code) == (400, 4400)


def test_a_start_message_without_a_rate_is_rejected_with_an_example() -> None:
    with pytest.raises(RequestError, match=re.escape('such as {"type": "start", "rate": 48000}')):
        parse_start('{"type": "start"}')


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
)
def test_any_other_text_is_a_request_error(text: str) -> None:
    for read in (parse_start, lambda text: parse_request(text, Controls())):
        with pytest.raises(RequestError):
            read(text)


def test_nested_brackets_are_a_request_error() -> None:
    with pytest.raises(RequestError, match="no JSON"):
        parse_start("[" * 4000)


def test_a_set_changes_only_the_controls_in_it() -> None:
    now = Controls(atten_limit_db=12, mix=0.5)
    assert parse_request('{"type": "set", "bypass": true}', now) == Controls(atten_limit_db=12, mix=0.5, bypass=True)
    assert parse_request('{"type": "set", "atten_limit_db": null}', now) == Controls(mix=0.5)
    assert parse_request('{"type": "flush"}', now) is Command.FLUSH
    assert parse_request('{"type": "save"}', now) is Command.SAVE


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_float_samples_are_encoded_without_loss(channels: int, rng: np.random.Generator) -> None:
    audio = rng.uniform(-2, 2, (channels, 257)).astype(np.float32)
    np.testing.assert_array_equal(decode_samples(encode_samples(audio, "float32"), "float32", channels), audio)


def test_pcm16_is_little_endian_interleaved_and_clipped() -> None:
    audio = np.array([[0.0, 0.5, 2.0], [-1.0, 1 / 32768, -2.0]], np.float32)
    data = encode_samples(audio, "pcm16")
    assert data.hex() == "0000008000400100ff7f0080"
    np.testing.assert_array_equal(decode_samples(data[:8], "pcm16", 2), audio[:, :2])


@pytest.mark.parametrize(("format", "channels", "size"), [("pcm16", 1, 3), ("pcm16", 2, 6), ("float32", 2, 12)])
def test_an_incomplete_frame_is_rejected(format: str, channels: int, size: int) -> None:
    with pytest.raises(RequestError, match="expected whole frames"):
        decode_samples(bytes(size), format, channels)


def test_a_request_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(RequestError(413, "too much", "body")))
    assert (error.status, str(error), error.reason) == (413, "too much", "body")
    assert RequestError(503, "bye", "draining").close_code == protocol.SERVICE_RESTART
