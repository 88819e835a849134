"""`unhiss denoise` and `unhiss models`: outputs, options, pipes and pictures."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

import unhiss
from unhiss.media.formats import AudioFormat
from unhiss.media.source import open_source, read
from unhiss.media.writer import open_writer, write

Make = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
SOURCE = Path(__file__).parent.parent.parent / "src"


def run_process(*words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`unhiss ...` in a separate process."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "unhiss", *map(str, words)], input=stdin, capture_output=True, env=environment
    )


@pytest.fixture
def noisy(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "noisy.wav"
    like = AudioFormat(48000, 2, 20001, "WAV", "PCM_24", {"title": "Night"})
    with open_writer(path, like) as file:
        file.write(rng.uniform(-0.5, 0.5, (2, 20001)).astype(np.float32))
    return path


def test_the_output_has_the_rate_channels_length_coding_and_tags_of_the_input(
    noisy: Path, tmp_path: Path, frame_model: Make
) -> None:
    done = run_process("denoise", noisy, "-o", tmp_path / "clean.wav", "--model", frame_model(offset=-0.1))
    assert (done.returncode, done.stderr) == (0, b"")
    assert open_source(tmp_path / "clean.wav").format == open_source(noisy).format
    assert done.stdout.decode().splitlines()[0].startswith("0.4 s of audio (2 ch, 48,000 Hz) in ")
    assert done.stdout.decode().splitlines()[1].startswith("  level -10.8 -> -22.")
    assert done.stdout.decode().splitlines()[2] == f"  clean: {tmp_path / 'clean.wav'}"


def test_a_causal_model_denoises_a_file(run: Run, noisy: Path, tmp_path: Path, causal_model: Make) -> None:
    path, (audio, rate) = causal_model("gain", 0.9), read(noisy)
    done = run("denoise", noisy, "-o", tmp_path / "clean.wav", "--model", path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert open_source(tmp_path / "clean.wav").format == open_source(noisy).format
    result, _ = read(tmp_path / "clean.wav")
    np.testing.assert_allclose(result, unhiss.denoise(audio, rate, model=path), atol=2**-22)
    np.testing.assert_allclose(result, 0.9 * audio, atol=1e-4)


def test_a_pipe_gives_the_bytes_that_a_file_gives(run: Run, noisy: Path, tmp_path: Path, frame_model: Make) -> None:
    path = frame_model(offset=-0.1)
    run("denoise", noisy, "-o", tmp_path / "clean.wav", "--model", path)
    done = run_process("denoise", "-", "-o", "-", "--model", path, stdin=noisy.read_bytes())
    assert done.returncode == 0
    assert done.stdout == (tmp_path / "clean.wav").read_bytes()
    assert b"0.4 s of audio" in done.stderr


def test_a_flac_pipe_comes_out_as_wav(run: Run, tmp_path: Path, frame_model: Make, rng: np.random.Generator) -> None:
    write(tmp_path / "a.flac", rng.uniform(-0.5, 0.5, 5001).astype(np.float32), 44100)
    done = run("denoise", "-", "-o", "-", "--model", frame_model(), stdin=(tmp_path / "a.flac").read_bytes())
    output = sf.info(io.BytesIO(done.stdout))
    assert (output.format, output.subtype, output.frames, output.samplerate) == ("WAV", "PCM_16", 5001, 44100)


def test_stdout_has_the_format_asked_for(run: Run, noisy: Path, frame_model: Make) -> None:
    done = run("denoise", noisy, "-o", "-", "--format", "flac", "--model", frame_model())
    output = sf.info(io.BytesIO(done.stdout))
    assert (output.format, output.subtype, output.frames, output.samplerate) == ("FLAC", "PCM_24", 20001, 48000)


def test_a_named_pipe_is_read_like_stdin(run: Run, noisy: Path, tmp_path: Path, causal_model: Make) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    feed = subprocess.Popen(["cp", str(noisy), str(tmp_path / "pipe.wav")])
    done = run("denoise", tmp_path / "pipe.wav", "-o", tmp_path / "clean.wav", "--model", causal_model())
    assert (done.returncode, done.stderr, feed.wait()) == (0, b"", 0)
    assert open_source(tmp_path / "clean.wav").format.frames == open_source(noisy).format.frames


def test_an_m4a_is_recognised_by_its_content(run: Run, noisy: Path, tmp_path: Path, causal_model: Make) -> None:
    model = causal_model()
    run("denoise", noisy, "-o", tmp_path / "a.m4a", "--subtype", "ALAC_24", "--model", model)
    (tmp_path / "a.m4a").rename(tmp_path / "a.wav")
    done = run("denoise", "-", "-o", tmp_path / "b.wav", "--model", model, stdin=(tmp_path / "a.wav").read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    done = run("denoise", tmp_path / "a.wav", "-o", tmp_path / "c.wav", "--model", model)
    assert (done.returncode, done.stderr) == (0, b"")
    written = open_source(tmp_path / "b.wav").format
    assert written == open_source(tmp_path / "c.wav").format
    assert (written.frames, written.subtype) == (20001, "PCM_24")


def test_the_file_equals_the_array(noisy: Path, tmp_path: Path, frame_model: Make) -> None:
    path = frame_model(slope=1.2, offset=-0.2)
    unhiss.denoise_file(noisy, tmp_path / "clean.wav", model=path, subtype="FLOAT")
    audio, rate = read(noisy)
    np.testing.assert_allclose(read(tmp_path / "clean.wav")[0], unhiss.denoise(audio, rate, model=path), atol=1e-6)


def test_options_reach_the_engine(run: Run, noisy: Path, tmp_path: Path, frame_model: Make) -> None:
    path, audio = frame_model(offset=-0.5), read(noisy)[0]
    assert run("denoise", noisy, "-o", tmp_path / "a.wav", "--model", path, "--mix", 0).returncode == 0
    np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], audio)
    words = ("denoise", noisy, "-o", tmp_path / "b.wav", "--model", path, "--atten-limit-db", 6, "--threads", 1)
    assert run(*words).returncode == 0
    expected = unhiss.denoise(audio, 48000, model=path, atten_limit_db=6)
    np.testing.assert_allclose(read(tmp_path / "b.wav")[0], expected, atol=2e-7)


def test_several_files_go_to_a_folder_and_a_damaged_one_does_not_stop_the_others(
    run: Run, noisy: Path, tmp_path: Path, frame_model: Make
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not a recording")
    write(tmp_path / "last.ogg", np.zeros(100, np.float32), 22050)
    (tmp_path / "out").mkdir()
    done = run(
        "denoise", noisy, tmp_path / "bad.wav", tmp_path / "last.ogg", "-o", tmp_path / "out", "--model", frame_model()
    )
    assert done.returncode == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["last.ogg", "noisy.wav"]
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert "bad.wav: not a readable recording" in lines[0]
    assert lines[1] == "unhiss: 1 of 3 recordings failed"


def test_plot_draws_before_and_after_in_one_picture(run: Run, noisy: Path, tmp_path: Path, frame_model: Make) -> None:
    time_s = np.arange(48000) / 48000
    write(noisy, (0.5 * np.sin(2 * np.pi * 6000 * time_s)).astype(np.float32), 48000)
    words = ("denoise", noisy, "-o", tmp_path / "clean.wav", "--model", frame_model(offset=-0.5))
    done = run(*words, "--plot", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    assert f"  spectrograms: {tmp_path / 'a.png'}" in done.stdout.decode()
    with Image.open(tmp_path / "a.png") as picture:
        light = np.asarray(picture.convert("L"), np.float32)
    assert light.shape == (776, 1078)
    # 6 kHz lies a quarter up each panel of 260 rows: bright before, 40 dB darker after.
    before, after = (light[bottom - 75 : bottom - 55, 200:900].max() for bottom in (34 + 260, 68 + 520))
    empty = light[34 + 20 : 34 + 60, 200:900].mean()
    assert before > after + 40 > empty + 40


def test_plot_shows_the_part_that_is_kept(run: Run, tmp_path: Path, causal_model: Make) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 6000 * np.arange(96000) / 48000) * (np.arange(96000) >= 72000)
    write(tmp_path / "a.wav", tone.astype(np.float32), 48000)
    words = ("denoise", tmp_path / "a.wav", "-o", tmp_path / "b.wav", "--start", 1, "--end", 2)
    assert run(*words, "--plot", tmp_path / "a.png", "--model", causal_model()).returncode == 0
    with Image.open(tmp_path / "a.png") as picture:
        light = np.asarray(picture.convert("L"), np.float32)
    for bottom in (34 + 260, 68 + 520):  # the tone sets in half way, before and after alike
        row = light[bottom - 75 : bottom - 55, 62:1062].max(axis=0)
        assert row[:450].max() < 30 < 100 < row[550:].min()


@pytest.mark.parametrize("size", [0, 1, 1001])
def test_plot_draws_empty_and_tiny_recordings(run: Run, size: int, tmp_path: Path, frame_model: Make) -> None:
    write(tmp_path / "a.wav", np.zeros(size, np.float32), 8000)
    done = run(
        "denoise", tmp_path / "a.wav", "-o", tmp_path / "b.wav", "--plot", tmp_path / "c.png", "--model", frame_model()
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with Image.open(tmp_path / "c.png") as picture:
        assert np.asarray(picture)[50:250, 100:900].max() < 10  # silence is dark


def test_models_lists_every_card(run: Run) -> None:
    done = run("models", "--verbose")
    assert done.returncode == 0, done.stderr
    for card in unhiss.models():
        text = done.stdout.decode()
        assert f"{card.name}" in text
        assert f"{card.parameters:,} parameters" in text
        assert card.licence in text
        assert card.data in text


def test_models_is_a_table_of_one_line_a_model(run: Run) -> None:
    head, *rows, _, note = run("models").stdout.decode().splitlines()
    cards = unhiss.models()
    assert [row.split()[0] for row in rows] == [card.name for card in cards]
    for card, row in zip(cards, rows, strict=True):
        live = "32 ms late" if card.causal else "files only"
        assert f" {card.parameters:,} " in row and live in row and card.licence in row
        assert ("non-commercial" in row) == (not card.commercial_use)
        assert (" * " in row) == (card.name == "small")
        end = row.index(f"{card.parameters:,}") + len(f"{card.parameters:,}")
        assert end == head.index("parameters") + len("parameters"), "numbers stand below each other"
    assert max(map(len, (head, *rows, note))) <= 100
    assert "--verbose" in note


def test_models_json_gives_one_object_a_line(run: Run) -> None:
    lines = run("models", "--json").stdout.decode().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [card.name for card in unhiss.models()]
    assert all(json.loads(line)["sha256"] for line in lines)
