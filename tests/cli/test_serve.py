"""`unhiss serve` as its users have it: a line that says where, an end that lets what runs finish, and refusals."""

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

import numpy as np
import pytest

from unhiss.serve.client import Client, ServerError

PATIENCE_S = 60
SOURCE = Path(__file__).parent.parent.parent / "src"
UNHISS = [sys.executable, "-m", "unhiss", "serve"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}


@contextmanager
def started(*words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server, and the line that it says first."""
    process = subprocess.Popen(
        [*UNHISS, "--port", "0", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def client(line: str, **options: str) -> Client:
    """A client, once the server answers."""
    found = Client(line.split()[1], **options)
    last = time.monotonic() + PATIENCE_S
    while True:
        try:
            found.models()
            return found
        except ServerError as error:
            assert error.status == 0 and time.monotonic() < last, error
            time.sleep(0.05)


def test_the_first_line_says_where_and_what(causal_model: Callable[..., Path]) -> None:
    model = causal_model()
    with started("--model", str(model), "--token", "geheim") as (process, line):
        assert re.match(rf"unhiss: http://127\.0\.0\.1:\d+ serves {model}: .*interface: .*/docs$", line)
        with client(line, token="geheim").stream(16000) as stream:
            assert stream.push(np.zeros(320, np.float32)).shape == (320,)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr
        assert process.stderr.read().splitlines() == [
            "  at most 64 live streams and 16 uploads, token needed; Ctrl-C ends"
        ]


def test_a_running_stream_may_finish_after_sigterm(causal_model: Callable[..., Path]) -> None:
    with started("--model", str(causal_model()), "--drain-s", "20") as (process, line):
        running = client(line)
        with running.stream(16000) as stream:
            process.send_signal(signal.SIGTERM)
            for _ in range(50):
                assert stream.push(np.ones(320, np.float32)).shape == (320,)
                time.sleep(0.01)
            with pytest.raises(ServerError):
                running.stream(16000)
            assert stream.flush().shape == (1, stream.latency.samples)
        assert process.wait(10) == 0


def test_a_stream_that_goes_on_is_closed_with_a_reason(causal_model: Callable[..., Path]) -> None:
    with started("--model", str(causal_model()), "--drain-s", "0.3") as (process, line):
        with client(line).stream(16000) as stream:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ServerError, match="the server ends") as refused:
                while True:
                    stream.push(np.ones(320, np.float32))
        assert refused.value.status == 503
        assert process.wait(PATIENCE_S) == 0


def test_ctrl_c_twice_ends_at_once(causal_model: Callable[..., Path]) -> None:
    with (
        started("--model", str(causal_model()), "--drain-s", "50") as (process, line),
        client(line).stream(16000) as stream,
    ):
        stream.push(np.ones(320, np.float32))
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--host", "0.0.0.0"], 2, "which others can reach, and no token; give --token"),
        (["--host", "::"], 2, "which others can reach"),
        (["--max-streams", "0"], 2, "streams = 0; expected more than 0"),
        (["--model", "smal"], 1, "did you mean 'small'"),
        (["--model", "none.onnx"], 1, "none.onnx"),
        (["--host", "192.0.2.1", "--insecure"], 1, "cannot be listened on"),
    ],
)
def test_what_cannot_be_served_is_one_line(words: list[str], code: int, line: str) -> None:
    done = subprocess.run(
        [*UNHISS, "--port", "0", *words], capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE_S
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert line in done.stderr and not done.stdout
