"""`unhiss serve` as a process: its first line, its shutdown, and errors of its options."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unhiss.serve.client import Client, ServerError

TIMEOUT_S = 120
SOURCE = Path(__file__).parent.parent.parent / "src"
UNHISS = [sys.executable, "-m", "unhiss", "serve"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}


@contextmanager
def started(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process, and its first line."""
    process = subprocess.Popen(
        [*UNHISS, "--port", "0", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def client(line: str, token: str = "") -> Client:
    """A client of the server with this first line, once it responds."""
    connected = Client(line.split()[1], token, timeout_s=TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            connected.models()
            return connected
        except ServerError as error:
            assert error.status == 0 and time.monotonic() < deadline, error
            time.sleep(0.05)


def test_the_first_line_has_the_address_and_the_model(causal_model: Callable[..., Path]) -> None:
    model = causal_model()
    with started("--model", str(model), "--token", "geheim") as (process, line):
        assert re.match(rf"unhiss: http://127\.0\.0\.1:\d+ serves {model}: .*API reference: .*/docs$", line)
        with client(line, token="geheim").stream(16000) as stream:
            assert stream.push(np.zeros(320, np.float32)).shape == (320,)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
        assert process.stderr
        expected = ["  at most 64 live streams and 16 uploads, token required; Ctrl-C ends"]
        assert process.stderr.read().splitlines() == expected


def test_a_running_stream_may_finish_after_sigterm(causal_model: Callable[..., Path]) -> None:
    with started("--model", str(causal_model()), "--drain-s", str(TIMEOUT_S)) as (process, line):
        server = client(line)
        with server.stream(16000) as stream:
            process.send_signal(signal.SIGTERM)
            while not stream.draining:
                stream.push(np.ones(320, np.float32))
            with pytest.raises(ServerError):
                server.stream(16000)
            assert stream.push(np.ones(320, np.float32)).shape == (320,)
            assert stream.flush().shape == (1, stream.latency.samples)
        assert process.wait(TIMEOUT_S) == 0


def test_a_stream_that_does_not_finish_is_closed_with_a_reason(causal_model: Callable[..., Path]) -> None:
    with started("--model", str(causal_model()), "--drain-s", "0.3") as (process, line):
        with client(line).stream(16000) as stream:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ServerError, match="the server is shutting down") as error:
                while True:
                    stream.push(np.ones(320, np.float32))
        assert error.value.status == 503
        assert process.wait(TIMEOUT_S) == 0


def test_a_second_ctrl_c_ends_the_server_at_once(causal_model: Callable[..., Path]) -> None:
    with (
        started("--model", str(causal_model()), "--drain-s", "3600") as (process, line),
        client(line).stream(16000) as stream,
    ):
        process.send_signal(signal.SIGINT)
        while not stream.draining:
            stream.push(np.ones(320, np.float32))
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--host", "0.0.0.0"], 2, "which others can reach, and no token; give --token"),
        (["--host", "::"], 2, "which others can reach"),
        (["--max-streams", "0"], 2, "max-streams = 0; expected more than 0"),
        (["--model", "smal"], 2, "did you mean 'small'"),
        (["--model", "none.onnx"], 2, "none.onnx"),
        (["--allow-origin", "example.org"], 2, "origin = 'example.org'; expected such as https://example.org"),
        (["--host", "192.0.2.1", "--insecure"], 1, "cannot be listened on"),
    ],
)
def test_an_invalid_option_is_an_error_of_one_line(words: list[str], code: int, line: str, run: Any) -> None:
    done = run("serve", "--port", "0", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert line.encode() in done.stderr and not done.stdout
