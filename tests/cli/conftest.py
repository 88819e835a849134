"""The command line, called in the process of the tests."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unhiss.cli import main
from unhiss.cli.batch import _denoiser

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("denoise", path, ..., stdin=b"", cwd=None)` calls main() as the `unhiss` command does.

    Neither stream is a terminal. Signal handlers are restored.
    """

    def call(*words: object, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        streams = {"stdin": io.BytesIO(stdin), "stdout": io.BytesIO(), "stderr": io.BytesIO()}
        _denoiser.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["unhiss", *map(str, words)])
            for name, stream in streams.items():
                patch.setattr(sys, name, io.TextIOWrapper(stream, encoding="utf-8", write_through=True))
            if cwd:
                patch.chdir(cwd)
                patch.setattr(sys, "path", list(sys.path))
            try:
                main()
                code: object = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
            out, err = (streams[name].getvalue() for name in ("stdout", "stderr"))
        assert isinstance(code, int)
        return subprocess.CompletedProcess([*map(str, words)], code, out, err)

    return call


@pytest.fixture
def half(causal_model: Callable[..., Path]) -> Path:
    """A model that halves the samples."""
    return causal_model("gain", 0.5)
