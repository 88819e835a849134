"""A faulty S3 server, and a bucket in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

for package in ("s3fs", "moto", "flask_cors"):
    pytest.importorskip(package, reason="pip install -e '.[dev]'")

from buckets import FAULT_PERIOD, HERE, reach  # noqa: E402

from unhiss.remote import RemotePath, _filesystem  # noqa: E402


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[int], str]]:
    """Start a server, three of so many of whose requests fail; returns its address."""
    begun = []

    def start(period: int) -> str:
        process = subprocess.Popen(
            [sys.executable, HERE / "faulty_s3.py", str(period)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=HERE, env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        begun.append(process)
        assert process.stdout
        return process.stdout.readline().strip()

    yield start
    for process in begun:
        process.communicate("", timeout=30)


@pytest.fixture(scope="module")
def faulty(request: pytest.FixtureRequest, serve: Callable[[int], str]) -> str:
    return serve(getattr(request, "param", FAULT_PERIOD))


@pytest.fixture
def bucket(faulty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RemotePath]:
    """A bucket of its own."""
    reach(faulty, monkeypatch)
    name = f"unhiss-{tmp_path.name.lower().replace('_', '-')}"[:60].rstrip("-")
    RemotePath(f"s3://{name}")._request(lambda fs, path: fs.exists(path) or fs.mkdir(path))
    yield RemotePath(f"s3://{name}")
    _filesystem.cache_clear()
