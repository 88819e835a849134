"""Systems under test: models, Python functions and programs, each loaded in the process that runs it."""

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
    """load() returns the function that denoises; it is called once per process and must be picklable.

    identity: changes whenever the results may change, for example the SHA-256 of a model; the cache relies on it.
    """

    name: str
    load: Callable[[], Denoise]
    identity: str


def parse_system(spec: str) -> System:
    """`NAME=python:package.module:function` or `NAME=cmd:program {in} {out}`.

    A function takes (audio float32 (T,) or (C, T), rate) and returns an array of the same shape. A program takes
    the path of a 16-bit WAV file and writes another one. Raises ConfigError if the spec cannot be run.
    """
    name, equals, target = spec.partition("=")
    kind, _, target = target.partition(":")
    if not name.strip() or not equals or not target.strip() or kind not in ("python", "cmd"):
        raise ConfigError(f"no system {spec!r}; {EXPECTED}")
    if kind == "python":
        return System(name=name.strip(), load=partial(load_function, target), identity=function_identity(target))
    try:
        command = shlex.split(target)
    except ValueError as error:  # an unclosed quote
        raise ConfigError(f"{name}: the command {target!r} cannot be read ({error}); {EXPECTED}") from error
    missing = [field for field in ("{in}", "{out}") if not any(field in word for word in command)]
    if missing:
        raise ConfigError(f"{name}: the command lacks {' and '.join(missing)}; {EXPECTED}")
    if shutil.which(command[0]) is None:
        raise ConfigError(f"{name}: no program {command[0]!r}; give its path, or install it")
    return System(name=name.strip(), load=partial(partial, _run_program, command), identity=_program_identity(command))


def load_function(path: str) -> Callable[..., Any]:
    """The function at `package.module:function` (or with a dot); the current folder is searched too.

    Raises ConfigError if it does not exist or is not callable.
    """
    module, _, name = path.rpartition(":") if ":" in path else path.rpartition(".")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: cannot be imported ({error}); expected package.module:function") from error
    if not callable(function):
        raise ConfigError(f"{path} is a {type(function).__name__}; expected a function of (audio, rate)")
    return function


def function_identity(path: str) -> str:
    """The function's path, the SHA-256 of its source file, and the version of its package."""
    function = load_function(path)
    try:
        source = hashlib.sha256(Path(inspect.getfile(inspect.unwrap(function))).read_bytes()).hexdigest()
    except (TypeError, OSError):  # no Python source: the version of its package has to suffice
        source = ""
    package = getattr(function, "__module__", None) or path
    owners = packages_distributions().get(package.partition(".")[0], [])
    return " ".join(["python", path, source, *(f"{owner} {version(owner)}" for owner in sorted(set(owners)))])


def _program_identity(command: list[str]) -> str:
    """The command, and the SHA-256 of each file it names: program, script, model."""
    files = [Path(path) for word in command if (path := shutil.which(word) or word)]
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()]
    return " ".join(["cmd", *command, *sums])


def _run_program(command: list[str], audio: np.ndarray, rate: int) -> np.ndarray:
    """Run a program on temporary files. Raises AudioError with its last line of output if it fails."""
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        source, target = f"{folder}/in.wav", f"{folder}/out.wav"
        write(source, audio, rate, subtype="PCM_16")
        words = [word.replace("{in}", source).replace("{out}", target) for word in command]
        completed = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        if completed.returncode:
            last_line = (completed.stderr.strip() or completed.stdout.strip() or "no message").splitlines()[-1]
            raise AudioError(f"{command[0]} ended with exit code {completed.returncode}: {last_line}")
        if not Path(target).is_file():
            raise AudioError(f"{command[0]} wrote no file; it must write the WAV that {{out}} names")
        out, out_rate = read(target)
    if out_rate != rate:
        raise AudioError(f"{command[0]} gave {out_rate:,} Hz for {rate:,} Hz; it must keep the rate")
    return out
