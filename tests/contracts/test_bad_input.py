"""What `unhiss denoise` cannot do ends in one clear line, exit code 1 or 2, and no incomplete file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from unhiss.cli import main
from unhiss.errors import AudioError
from unhiss.media.source import read
from unhiss.media.writer import write

Make = Callable[..., Path]
SOURCE = Path(__file__).parent.parent.parent / "src"
PATIENCE_S = 120  # a process that takes longer hangs
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}


@pytest.fixture
def refusal(
    tmp_path: Path, frame_model: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs `unhiss denoise ARGUMENTS` in tmp_path, asserts that it fails cleanly, and returns its error line."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, code: int = 1, model: str | Path | None = None) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        monkeypatch.setattr(
            sys, "argv", ["unhiss", "denoise", *map(str, words), "--model", str(model or frame_model())]
        )
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as end:
            main()
        signal.signal(signal.SIGTERM, handler)
        out, err = capfd.readouterr()
        assert end.value.code == code, err
        assert out == ""
        assert "Traceback" not in err
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after == before
        if code == 1:
            assert len(err.splitlines()) == 1, err
            assert err.startswith("unhiss: ")
        return err.removeprefix("unhiss: ").strip()

    return run


def make_recording(path: Path, size: int = 30000, rate: int = 22050, **options: str) -> Path:
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, size).astype(np.float32)
    write(path, noise, rate, **options)
    return path


@pytest.mark.parametrize("size", [0, 1, 2])
@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_empty_one_sample_and_silent_recordings_are_valid(
    size: int, extension: str, tmp_path: Path, frame_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.wav", np.zeros(size, np.float32), 44100)
    target = tmp_path / f"b.{extension if size else 'wav'}"
    words = ["unhiss", "denoise", str(tmp_path / "a.wav"), "-o", str(target), "--model", str(frame_model())]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    samples, rate = read(target)
    assert (samples.shape, rate) == ((size,), 44100)
    assert np.abs(samples).max(initial=0) < 1e-3


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "w64"])
def test_strict_refuses_a_truncated_recording(extension: str, tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = make_recording(tmp_path / f"a.{extension}", rate=48000)
    whole = path.read_bytes()
    cuts = np.random.default_rng(1).uniform(0.02, 0.97, 6) * len(whole)
    for cut in cuts.astype(int):
        path.write_bytes(whole[:cut])
        line = refusal(path.name, "-o", "b.wav", "--strict")
        assert path.name in line
        assert "truncated" in line or "not a readable recording" in line or "damaged" in line, line


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_bytes_of_any_kind_never_crash(
    extension: str, tmp_path: Path, refusal: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_recording(tmp_path / f"a.{extension}", size=8000, rate=48000)
    whole, rng = bytearray(path.read_bytes()), np.random.default_rng(2)
    for start in (0, 12, 64):
        path.write_bytes(whole[:start] + rng.bytes(len(whole) - start))
        try:
            read(path)
        except AudioError as error:
            assert "\n" not in str(error)
            capfd.readouterr()  # libmpg123 prints to stderr; only the command suppresses that
            refusal(path.name, "-o", "b.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_invalid_samples_are_reported_with_their_position(
    value: float, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    sound = np.zeros((2, 30000), np.float32)
    sound[1, 22050] = value
    sf.write(tmp_path / "a.wav", sound.T, 22050, "FLOAT")
    line = refusal("a.wav", "-o", "b.wav")
    assert line == f"a.wav: sample 22,050 (1.00 s) is {np.float32(value):g}, no sound; repair it first"


@pytest.mark.parametrize("rate", [1, 999, 10_000_001, 10**9, 2**31 - 1])
def test_a_header_with_an_absurd_rate_is_reported(rate: int, tmp_path: Path, refusal: Callable[..., str]) -> None:
    content = bytearray(make_recording(tmp_path / "a.wav", size=1000).read_bytes())
    at = content.index(b"fmt ") + 12
    content[at : at + 4] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    line = refusal("a.wav", "-o", "b.wav")
    assert line == f"a.wav: damaged, or no speech: {rate:,} Hz (a rate is 1,000 to 10,000,000); get a whole copy"


def test_a_pipe_of_garbage_is_reported(
    refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "garbage").write_bytes(b"garbage" * 1000)
    with (tmp_path / "garbage").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert refusal("-", "-o", "b.wav").startswith("stdin: not a readable recording")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("none.wav", "-o", "b.wav"), "none.wav: no such file; check the name"),
        (("thera.wav", "-o", "b.wav"), "thera.wav: no such file; did you mean 'there.wav'?"),
        (("no/a.wav", "-o", "b.wav"), "no/a.wav: no such file, since there is no folder no; check the path"),
        (("empty.wav", "-o", "b.wav"), "empty.wav: 0 bytes, not a recording; get a whole copy"),
        (("a.wav", "-o", "there.wav"), "there.wav exists; --force overwrites it"),
        (("a.wav", "-o", "a.wav"), "a.wav is the input itself; choose another output, or replace it with --in-place"),
        (("a.wav", "-o", "link.wav", "--force"), "link.wav is the input itself; choose another output"),
        (("a.wav", "-o", "no/b.wav"), "no is no folder; make it first: mkdir -p no"),
        (("a.wav", "-o", "b.wav", "--plot", "no/p.png"), "no/p.png: --plot needs a file name in a folder that exists"),
        (("a.png", "-o", "b.wav", "--plot", "a.png", "--force"), "a.png is a recording here; choose another file"),
        (("a.wav", "-o", "b.wav", "--plot", "there.png"), "there.png exists; --force overwrites it"),
        (("a.wav", "-o", "b.opus"), "b.opus: OGG/OPUS cannot hold 1 channel at 22,050 Hz (Opus only supports"),
    ],
)
def test_an_unusable_path_is_reported(
    words: tuple[str, ...], line: str, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    make_recording(tmp_path / "a.wav")
    make_recording(tmp_path / "there.wav")
    (tmp_path / "there.png").touch()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.wav").symlink_to("a.wav")
    (tmp_path / "a.png").symlink_to("a.wav")
    assert refusal(*words).startswith(line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("a.wav", "b.wav", "-o", "c.wav"), "2 recordings need a folder, not c.wav"),
        (("folder", "-o", "b.wav"), "folder holds no recording that unhiss reads"),
        (("nothing*.wav", "-o", "out"), "nothing*.wav matches no file"),
        (("a.wav", "-o", "b.xyz"), "b.xyz: unhiss writes no .xyz files; try .wav or .flac"),
        (("a.wav", "-o", "b.wav", "--residual", "r.xyz"), "r.xyz: unhiss writes no .xyz files; try .wav or .flac"),
        (("a.wav", "-o", "b"), "-o b: no such folder; -o b/ makes it, or name a file: b.wav"),
        (("a.wav", "-o", "b.wav", "--plot", "p.jpg"), "--plot p.jpg: the picture is a PNG; name it p.png"),
        (("a.wav", "-o", "b.wav", "--subtype", "PCM_99"), "b.wav: WAV has no coding 'PCM_99'; known: ALAW, "),
        (("a.wav", "-o", "b.flac", "--subtype", "FLOAT"), "b.flac: FLAC has no coding 'FLOAT'; known: PCM_16"),
        (("a.wav", "-o", "b.m4a", "--subtype", "pcm_99"), "b.m4a: .m4a cannot hold pcm_99"),
        (("a.wav", "-o", "b.wav", "--mix", "2"), "--mix 2.0; expected 0 (the input) to 1"),
        (("a.wav", "-o", "b.wav", "--atten-limit-db", "-3"), "--atten-limit-db -3.0; expected dB from 0"),
        (("a.wav", "-o", "b.wav", "--rate", "0"), "--rate 0; expected 1,000 to 10,000,000 Hz"),
        (("a.wav", "-o", "b.wav", "--format", "flac"), "-o b.wav is no .flac file, and --format asks for one"),
        (
            ("a.wav", "-o", "folder", "--format", "flc"),
            "--format flc: unhiss writes no such files; did you mean 'flac'?",
        ),
        (("a.wav", "--in-place", "--residual", "r.wav"), "leave -o, --residual, --format and pipes out"),
        (("a.wav", "--in-place", "--start", "1"), "--start and --end keep a part, and --in-place would lose the rest"),
        (("a.wav", "--in-place", "--end", "1"), "--start and --end keep a part, and --in-place would lose the rest"),
        (("a.wav", "--in-place", "--plot", "p.png"), "--in-place leaves no input; use -o"),
        (("-",), "no output beside stdin: give -o clean.wav, -o FOLDER/, or -o - for stdout"),
        (("-o", "b.wav"), "Missing argument"),
    ],
)
def test_a_wrong_option_is_exit_code_2(
    words: tuple[str, ...], line: str, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    make_recording(tmp_path / "a.wav")
    (tmp_path / "folder").mkdir()
    assert line in refusal(*words, code=2)


def test_an_unwritable_folder_is_reported(tmp_path: Path, refusal: Callable[..., str]) -> None:
    make_recording(tmp_path / "a.wav")
    if os.geteuid() == 0:  # root may write anywhere but to /proc
        assert refusal("a.wav", "-o", "/proc/b.wav").startswith("/proc/b.wav: cannot be written (")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "locked/b.wav: cannot be written (Permission denied)" in refusal("a.wav", "-o", "locked/b.wav")


def test_unusable_models_are_reported(tmp_path: Path, refusal: Callable[..., str], frame_model: Make) -> None:
    make_recording(tmp_path / "a.wav")
    words = ("a.wav", "-o", "b.wav")
    (tmp_path / "broken.onnx").write_bytes(b"not onnx at all")
    whole = frame_model().read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    unknown, missing = (refusal(*words, model=name, code=2) for name in ("nonesuch", "none.onnx"))
    assert unknown.startswith("no model 'nonesuch', and no .onnx file of this path; known: ")
    assert missing.startswith("none.onnx: no such model file; unhiss export makes one")
    assert refusal(*words, model="broken.onnx").startswith("broken.onnx: no model onnxruntime can load (")
    assert refusal(*words, model="cut.onnx").startswith("cut.onnx: no model onnxruntime can load (")
    newer = frame_model(unhiss_format="3")
    assert refusal(*words, model=newer).startswith(f"{newer}: format 3, expected 1 or 2; use a model that")
    lacking = frame_model(unhiss_config="{}")
    assert refusal(*words, model=lacking).startswith(f"{lacking}: damaged metadata ('frames'); export the model again")


# Each full-disk run needs its own process, because the limit cannot be raised again.
FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["unhiss", "denoise", *sys.argv[1:]]
from unhiss.cli import main
main()
"""


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("limit", [0, 10, 20_000])
def test_a_full_disk_leaves_nothing(extension: str, limit: int, tmp_path: Path, frame_model: Make) -> None:
    make_recording(tmp_path / "a.wav", size=200_000, rate=44100)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / f"b.{extension}"
    call = [sys.executable, "-c", FULL.format(limit=limit), f"{tmp_path}/a.wav", "-o", str(target)]
    done = subprocess.run(
        [*call, "--model", str(frame_model())], capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert not list((tmp_path / "out").iterdir())
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"unhiss: {target}: ")
    assert "is the disk full?" in done.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_process_leaves_nothing(sent: int, code: int, tmp_path: Path, frame_model: Make) -> None:
    make_recording(tmp_path / "a.wav", size=48000 * 120, rate=48000)
    (tmp_path / "out").mkdir()
    call = [sys.executable, "-m", "unhiss", "denoise", f"{tmp_path}/a.wav", "-o", f"{tmp_path}/out/b.wav"]
    call += ["--model", str(frame_model())]
    child = subprocess.Popen(
        [*call, "--model", str(frame_model())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any(path.stat().st_size > 100_000 for path in (tmp_path / "out").iterdir()):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(sent)
    out, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == code
    assert (out, err.strip()) == ("", "unhiss: interrupted" if sent == signal.SIGINT else "")
    assert not list((tmp_path / "out").iterdir())


def test_a_closed_output_pipe_gives_no_traceback(tmp_path: Path, frame_model: Make) -> None:
    make_recording(tmp_path / "a.wav", size=200_000)
    call = [sys.executable, "-m", "unhiss", "denoise", f"{tmp_path}/a.wav", "-o", "-", "--model", str(frame_model())]
    child = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert child.stdout and child.stderr
    child.stdout.close()
    assert "Traceback" not in child.stderr.read()
    child.stderr.close()
    assert child.wait(PATIENCE_S) == 1
