"""Programs and Python functions as systems, and the error messages for invalid ones."""

import sys

import numpy as np
import pytest

from unhiss.errors import AudioError, ConfigError
from unhiss.score.systems import parse_system

HALVE = """
import sys
from unhiss.media.source import read
from unhiss.media.writer import write
audio, rate = read(sys.argv[1])
write(sys.argv[2], audio / 2, rate)
"""


def program(tmp_path, code, name="tool"):
    (tmp_path / "tool.py").write_text(code)
    return parse_system(f"{name}=cmd:{sys.executable} {tmp_path / 'tool.py'} {{in}} {{out}}")


@pytest.mark.parametrize("shape", [(1601,), (2, 1601)])
def test_a_program_reads_one_wav_and_writes_another(tmp_path, rng, shape):
    audio = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    system = program(tmp_path, HALVE)
    assert system.name == "tool"
    np.testing.assert_allclose(system.load()(audio, 16_000), audio / 2, atol=2 / 32768)  # two roundings to 16 bits


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('first'); sys.exit('no licence')", "exit code 1: no licence"),
        ("", "wrote no file"),
        (
            HALVE.replace("rate)\n", "8000)\n", 1).replace("audio / 2, rate", "audio / 2, 8000"),
            "gave 8,000 Hz for 16,000 Hz",
        ),
    ],
)
def test_a_failing_program_raises_its_last_line(tmp_path, code, message):
    with pytest.raises(AudioError, match=message):
        program(tmp_path, code).load()(np.zeros(1600, np.float32), 16_000)


@pytest.mark.parametrize("path", ["own.part:half", "own.part.half"])
def test_a_function_is_found_in_the_current_folder(tmp_path, monkeypatch, path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "part.py").write_text("def half(audio, rate):\n    return audio / 2\n")
    monkeypatch.chdir(tmp_path)
    for module in ("own", "own.part"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    system = parse_system(f"mine=python:{path}")
    assert system.name == "mine" and system.load()(np.ones(2), 8000).tolist() == [0.5, 0.5]


def test_a_changed_script_or_option_is_another_system(tmp_path):
    first = program(tmp_path, HALVE).identity
    assert program(tmp_path, HALVE).identity == first
    assert program(tmp_path, HALVE + "# changed").identity != first
    assert parse_system(f"tool=cmd:{sys.executable} {tmp_path / 'tool.py'} -x {{in}} {{out}}").identity != first


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("python:numpy:abs", "no system 'python:numpy:abs'; expected NAME="),
        ("a=rust:x", "no system"),
        ("a=cmd:cp {in}", r"a: the command lacks \{out\}"),
        ("a=cmd:cp '{in} {out}", "a: the command .* cannot be read"),
        ("a=cmd:no-such-program {in} {out}", "a: no program 'no-such-program'"),
        ("a=python:no_such.module:f", "no_such.module:f: cannot be imported"),
        ("a=python:numpy:no_such", "cannot be imported"),
        ("a=python:numpy:pi", "is a float; expected a function"),
    ],
)
def test_an_invalid_system_is_refused_before_any_work(spec, message):
    with pytest.raises(ConfigError, match=message):
        parse_system(spec)
