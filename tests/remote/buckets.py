"""Shared by the tests of remote files: `unhiss` as a process, and how it is pointed at a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

import unhiss
from unhiss.remote import _filesystem

HERE = Path(__file__).parent
SOURCE = Path(unhiss.__file__).parent.parent
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
}  # fmt: skip

FAULT_PERIOD = 16  # three of so many requests to the server fail; in `make soak` three of eight, which waits longer
FAULT_RATES = pytest.mark.parametrize("faulty", [FAULT_PERIOD, pytest.param(8, marks=pytest.mark.soak)], indirect=True)


def reach(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process and its children at the server, and leave retries to s3fs and unhiss."""
    _filesystem.cache_clear()
    for key, value in SETTINGS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unhiss", *map(str, words)], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
