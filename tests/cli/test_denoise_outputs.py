"""Where `unhiss denoise` writes without -o, into folders, and when outputs would have one name; what it leaves out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unhiss.media.source import read
from unhiss.media.writer import write

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Make = Callable[..., Path]
RATE = 16000


@pytest.fixture
def denoise(run: Run, half: Path, tmp_path: Path) -> Run:
    """`denoise("a.wav", ...)` in tmp_path, with a model that halves the samples."""
    return lambda *words: run("denoise", *words, "--model", half, cwd=tmp_path)


def record(path: Path, value: float = 0.5, size: int = 3000) -> None:
    """A recording with a level of its own, by which its output is recognised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, np.full(size, value, np.float32), RATE)


def level(path: Path) -> float:
    """The middle sample of a recording, which the model has halved."""
    samples, _ = read(path)
    return round(2 * float(samples[samples.size // 2]), 2)


def new_files(folder: Path, before: set[Path]) -> set[str]:
    return {str(path.relative_to(folder)) for path in set(folder.rglob("*")) - before if path.is_file()}


def good(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("name", "words", "output"),
    [
        ("noisy.wav", (), "noisy.clean.wav"),
        ("deep/er/noisy.flac", (), "deep/er/noisy.clean.flac"),
        ("noisy.wav", ("--format", "flac"), "noisy.clean.flac"),
        ("take.1.wav", (), "take.1.clean.wav"),
    ],
)
def test_without_an_output_a_recording_is_written_beside_itself_and_the_path_is_said(
    name: str, words: tuple[str, ...], output: str, denoise: Run, tmp_path: Path
) -> None:
    record(tmp_path / name)
    before = set(tmp_path.rglob("*"))
    assert good(denoise(name, *words))[-1] == f"  clean: {output}"
    assert new_files(tmp_path, before) == {output}
    assert level(tmp_path / output) == 0.5


def test_a_recording_in_a_format_that_is_not_written_becomes_a_wav(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    for name in ("memo", "memo.amr.bak"):  # read by their content
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        good(denoise(name))
    assert level(tmp_path / "memo.clean.wav") == level(tmp_path / "memo.amr.clean.wav") == 0.5


def test_without_an_output_a_second_run_overwrites_nothing_without_force(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    good(denoise("a.wav"))
    record(tmp_path / "a.wav", 0.8)
    done = denoise("a.wav")
    assert done.returncode == 1 and b"a.clean.wav exists; --force" in done.stderr
    assert level(tmp_path / "a.clean.wav") == 0.5
    good(denoise("a.wav", "--force"))
    assert level(tmp_path / "a.clean.wav") == 0.8


def test_without_an_output_the_outputs_of_an_earlier_run_are_not_denoised_again(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    record(tmp_path / "b.flac")
    good(denoise("a.wav", "b.flac", "--format", "ogg"))
    before = set(tmp_path.rglob("*"))
    done = denoise("a.wav", "a.clean.ogg", "b.clean.ogg", "b.flac")
    good(done)
    assert new_files(tmp_path, before) == {"a.clean.wav", "b.clean.flac"}
    assert b"left out as outputs of an earlier run: 2 (named .clean beside their inputs)" in done.stderr
    good(denoise("a.clean.wav"))  # alone, it is what the user wants
    assert (tmp_path / "a.clean.clean.wav").exists()


def test_without_an_output_a_folder_goes_to_one_beside_it(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "in" / "a.wav", 0.2)
    record(tmp_path / "in" / "deep" / "b.wav", 0.3)
    before = set(tmp_path.rglob("*"))
    assert good(denoise("in/"))[0].startswith("in.clean/a.wav: ")
    assert new_files(tmp_path, before) == {"in.clean/a.wav", "in.clean/deep/b.wav"}
    assert level(tmp_path / "in.clean" / "deep" / "b.wav") == 0.3
    before = set(tmp_path.rglob("*"))
    good(denoise(".", "--skip-existing"))  # in.clean/ lies in it, and belongs to in/
    beside = tmp_path.with_name(f"{tmp_path.name}.clean")
    assert not new_files(tmp_path, before)
    assert {str(path.relative_to(beside)) for path in beside.rglob("*.wav")} == {"in/a.wav", "in/deep/b.wav"}


@pytest.mark.parametrize("words", [("-",), ("pipe.wav",)])
def test_a_pipe_needs_an_output(words: tuple[str, ...], denoise: Run, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.wav")
    done = denoise(*words)
    assert done.returncode == 2 and b"give -o clean.wav, -o FOLDER/, or -o - for stdout" in done.stderr


def test_an_output_with_a_slash_at_its_end_is_a_folder_that_is_made(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    good(denoise("a.wav", "-o", "new/v1.2/"))
    assert level(tmp_path / "new" / "v1.2" / "a.wav") == 0.5
    done = denoise("a.wav", "-o", "a.wav/")
    assert done.returncode == 2 and b"need a folder, not a.wav" in done.stderr


def test_outputs_of_one_name_get_the_folders_in_which_the_inputs_differ(denoise: Run, tmp_path: Path) -> None:
    inputs = {"a/x.wav": 0.1, "b/x.wav": 0.2, "b/deep/x.wav": 0.3, "c/y.wav": 0.4, "x.wav": 0.5}
    for name, value in inputs.items():
        record(tmp_path / name, value)
    good(denoise(*inputs, "-o", "out"))
    assert {name: level(tmp_path / "out" / name) for name in inputs if name != "c/y.wav"} == {
        name: value for name, value in inputs.items() if name != "c/y.wav"
    }
    assert level(tmp_path / "out" / "y.wav") == 0.4  # no other has its name


def test_outputs_of_one_name_get_the_endings_of_their_inputs(denoise: Run, tmp_path: Path) -> None:
    inputs = {"x.wav": 0.1, "x.flac": 0.2, "x.aiff": 0.3}
    for name, value in inputs.items():
        record(tmp_path / name, value)
    good(denoise(*inputs, "-o", "out/", "--format", "flac", "--residual", "removed"))
    expected = {"x.wav.flac": 0.1, "x.flac": 0.2, "x.aiff.flac": 0.3}
    assert {path.name: level(path) for path in (tmp_path / "out").iterdir()} == expected
    assert {path.name: level(path) for path in (tmp_path / "removed").iterdir()} == expected
    good(denoise(*inputs, "--format", "flac"))
    assert {path.name: level(path) for path in tmp_path.glob("*.clean.flac")} == {
        "x.wav.clean.flac": 0.1, "x.clean.flac": 0.2, "x.aiff.clean.flac": 0.3,
    }  # fmt: skip


def test_two_folders_with_the_same_tree_keep_both(denoise: Run, tmp_path: Path) -> None:
    for number, folder in enumerate(("monday", "tuesday"), 1):
        record(tmp_path / folder / "1" / "x.wav", number / 10)
    good(denoise("monday", "tuesday", "-o", "out"))
    assert level(tmp_path / "out" / "monday" / "1" / "x.wav") == 0.1
    assert level(tmp_path / "out" / "tuesday" / "1" / "x.wav") == 0.2


@pytest.mark.parametrize("words", [("a.wav", "./a.wav", "-o", "b.wav"), (".", "a.wav", "--in-place")])
def test_a_recording_named_twice_is_denoised_once(words: tuple[str, ...], denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    good(denoise(*words))
    assert level(tmp_path / ("b.wav" if "-o" in words else "a.wav")) == 0.5, "halved twice"


def test_in_place_a_recording_and_a_link_to_it_are_denoised_once(denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "b.wav").symlink_to("a.wav")
    good(denoise("in", "--in-place"))
    assert level(tmp_path / "in" / "a.wav") == 0.5, "halved twice"
    assert (tmp_path / "in" / "b.wav").is_symlink()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a recording, and with files that are none by their ending, although one of them is."""
    folder = tmp_path / "in"
    record(folder / "a.wav")
    for name in ("1.txt", "2.TXT", "deep/3.txt", "README", "v1. take two"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no recording")
    (folder / "tape.dat").write_bytes((folder / "a.wav").read_bytes())
    (folder / ".hidden.txt").touch()
    return folder


LEFT_OUT = "unhiss: left out by their ending: 3 .txt, 2 without, 1 .dat (name one to denoise it)"


@pytest.mark.parametrize("words", [("-o", "out"), ("--in-place",), (), ("-o", "out", "--dry-run")])
def test_a_folder_run_says_which_files_it_left_out_by_their_ending(
    mixed: Path, words: tuple[str, ...], denoise: Run
) -> None:
    done = denoise("in", *words)
    good(done)
    assert done.stderr.decode().splitlines() == [LEFT_OUT]


def test_a_file_with_an_unusual_ending_is_denoised_if_it_is_named(mixed: Path, denoise: Run, tmp_path: Path) -> None:
    done = denoise("in/tape.dat", "-o", "tape.wav")
    good(done)
    assert level(tmp_path / "tape.wav") == 0.5 and not done.stderr


def test_json_has_an_object_for_each_folder_with_files_left_out(mixed: Path, denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "other" / "b.wav")
    lines = [json.loads(line) for line in good(denoise("in", "other", "-o", "out", "--json"))]
    assert [line.get("target") for line in lines] == ["out/a.wav", "out/b.wav", None]
    assert lines[-1] == {"source": "in", "left_out": {".txt": 3, "no ending": 2, ".dat": 1}}


def test_a_folder_without_recordings_names_what_it_holds(mixed: Path, denoise: Run) -> None:
    (mixed / "a.wav").unlink()
    done = denoise("in", "-o", "out")
    assert done.returncode == 2
    assert LEFT_OUT.removeprefix("unhiss: ").encode() in done.stderr.replace(b"\n", b" ")


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [("0:01", "0:02.5", 1, 2.5), ("0:00:01.25", "0:00:02", 1.25, 2), ("1.5", "00:03", 1.5, 3), ("0", "1e0", 0, 1)],
)
def test_the_part_to_keep_is_given_as_a_clock_shows_it(
    start: str, end: str, first: float, last: float, denoise: Run, tmp_path: Path
) -> None:
    ramp = np.linspace(0, 0.9, 4 * RATE, dtype=np.float32)
    write(tmp_path / "a.wav", ramp, RATE)
    good(denoise("a.wav", "-o", "b.wav", "--start", start, "--end", end))
    samples, _ = read(tmp_path / "b.wav")
    assert samples.size == (last - first) * RATE
    middle = samples.size // 2  # a model at a rate with frames fades in at its start
    assert 2 * samples[middle] == pytest.approx(ramp[round(first * RATE) + middle], abs=1e-3)


@pytest.mark.parametrize("value", ["1:60", "1:2:3:4", "1:60:00", "abc", "nan", "inf", "1:-5", "1.5:00", ":", ""])
def test_what_is_no_time_is_a_wrong_option(value: str, denoise: Run, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    done = denoise("a.wav", "-o", "b.wav", f"--start={value}")
    assert done.returncode == 2 and b"is no time; expected seconds, M:SS" in done.stderr.replace(b"\n", b" ")
