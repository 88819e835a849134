"""Systems under test: models, Python functions and programs, each loaded in the process that runs it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.errors import AudioError, ConfigError
from unhiss.media.source import read
from unhiss.media.writer import write

Denoise = Callable[[np.ndarray, int], np.ndarray]  # (audio (T,) or (C, T) float32, rate) -> same shape
EXPECTED = "expected NAME=python:package.module:function or NAME=cmd:program {in} {out}"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """load() gives the function that denoises; it is called once in each process, so it must pickle for many.

    identity: changes whenever the results may, as the SHA-256 of a model does; the cache goes by it.
    """

    name: str
    load: Callable[[], Denoise]
    identity: str


def system(given: str) -> System:
    """`NAME=python:package.module:function` or `NAME=cmd:program {in} {out}`.

    A function gets (audio float32 (T,) or (C, T), rate) and gives an array of the same shape. A program gets the
    path of a 16-bit WAV file and writes another. Raises ConfigError for what cannot be run, before any work.
    """
    name, equals, what = given.partition("=")
    kind, _, where = what.partition(":")
    if not name.strip() or not equals or not where.strip() or kind not in ("python", "cmd"):
        raise ConfigError(f"no system {given!r}; {EXPECTED}")
    if kind == "python":
        return System(name=name.strip(), load=partial(load_function, where), identity=identity_of(where))
    try:
        command = shlex.split(where)
    except ValueError as error:  # a quote without its other half
        raise ConfigError(f"{name}: the command {where!r} cannot be read ({error}); {EXPECTED}") from error
    missing = [mark for mark in ("{in}", "{out}") if not any(mark in word for word in command)]
    if missing:
        raise ConfigError(f"{name}: the command lacks {' and '.join(missing)}; {EXPECTED}")
    if shutil.which(command[0]) is None:
        raise ConfigError(f"{name}: no program {command[0]!r}; give its path, or install it")
    return System(name=name.strip(), load=partial(_program, tuple(command)), identity=_of_command(command))


def load_function(where: str) -> Callable[..., Any]:
    """`package.module:function` (or with a dot); modules in the current folder count. ConfigError if there is none."""
    module, _, name = where.rpartition(":") if ":" in where else where.rpartition(".")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: cannot be imported ({error}); expected package.module:function") from error
    if not callable(found):
        raise ConfigError(f"{where} is a {type(found).__name__}; expected a function of (audio, rate)")
    return found


def identity_of(where: str) -> str:
    """The function's name, the SHA-256 of the file it stands in, and the version of its package."""
    function = load_function(where)
    try:
        source = hashlib.sha256(Path(inspect.getfile(inspect.unwrap(function))).read_bytes()).hexdigest()
    except (TypeError, OSError):  # no Python source: its package's version must do
        source = ""
    package = getattr(function, "__module__", None) or where
    owners = packages_distributions().get(package.partition(".")[0], [])
    return " ".join(["python", where, source, *(f"{owner} {version(owner)}" for owner in sorted(set(owners)))])


def _of_command(command: list[str]) -> str:
    """The command, and the SHA-256 of each file it names: program, script, model."""
    files = [Path(path) for word in command if (path := shutil.which(word) or word)]
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()]
    return " ".join(["cmd", *command, *sums])


def _program(command: tuple[str, ...]) -> Denoise:
    return partial(_run, command)


def _run(command: tuple[str, ...], audio: np.ndarray, rate: int) -> np.ndarray:
    """One run of a program, files in a folder of their own. Raises AudioError with its last words if it fails."""
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        places = {"{in}": f"{folder}/in.wav", "{out}": f"{folder}/out.wav"}
        write(places["{in}"], audio, rate, subtype="PCM_16")
        words = [word.replace("{in}", places["{in}"]).replace("{out}", places["{out}"]) for word in command]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise AudioError(f"{command[0]} ended with exit code {done.returncode}: {last}")
        if not Path(places["{out}"]).is_file():
            raise AudioError(f"{command[0]} wrote no file; it must write the WAV that {{out}} names")
        out, out_rate = read(places["{out}"])
    if out_rate != rate:
        raise AudioError(f"{command[0]} gave {out_rate:,} Hz for {rate:,} Hz; it must keep the rate")
    return out
