"""`unhiss denoise` on folders, patterns and parts of recordings, and its messages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from unhiss.cli.batch import _denoiser
from unhiss.cli.denoise import command
from unhiss.errors import ConfigError, UnhissError
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.files import FileJob, FileReport, Progress
from unhiss.media.source import open_source, read
from unhiss.media.writer import write

Make = Callable[..., Path]
RATE = 16000


@pytest.fixture
def tree(tmp_path: Path, rng: np.random.Generator) -> Path:
    """recordings/{a.wav, b.flac, deep/er/c.ogg}, beside what is no recording."""
    folder = tmp_path / "recordings"
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "deep/er/c.ogg"):
        write(folder / name, rng.uniform(-0.3, 0.3, 9000).astype(np.float32), RATE)
    (folder / "notes.txt").write_text("not sound")
    (folder / ".hidden.wav").write_bytes(b"left alone")
    return folder


def denoise(*words: object) -> Result:
    _denoiser.cache_clear()
    return CliRunner().invoke(command, [*map(str, words)])


def good(result: Result) -> list[str]:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout.splitlines()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_keeps_its_tree(tree: Path, tmp_path: Path, half: Path, jobs: int) -> None:
    lines = good(denoise(tree, "-o", tmp_path / "clean", "--model", half, "-j", jobs))
    assert files(tmp_path / "clean") == ["a.wav", "b.flac", "deep/er/c.ogg"]
    assert len(lines) == 4 and lines[-1].startswith("3 recordings, 2 s of audio, ")
    noisy, clean = (read(folder / "a.wav")[0] for folder in (tree, tmp_path / "clean"))
    assert np.abs(clean - noisy / 2).max() < 1e-4


def test_outputs_inside_the_folder_are_not_inputs_of_the_next_run(tree: Path, half: Path) -> None:
    good(denoise(tree, "-o", tree / "clean", "--model", half))
    good(denoise(tree, "-o", tree / "clean", "--model", half, "--force"))
    assert files(tree / "clean") == ["a.wav", "b.flac", "deep/er/c.ogg"]


def test_a_second_run_does_only_what_is_missing(tree: Path, tmp_path: Path, half: Path) -> None:
    words = (tree, "-o", tmp_path / "clean", "--model", half, "--skip-existing")
    good(denoise(*words))
    kept = (tmp_path / "clean" / "a.wav").stat().st_mtime_ns
    (tmp_path / "clean" / "b.flac").unlink()
    assert good(denoise(*words))[-1].startswith(f"{tmp_path}") is False
    assert files(tmp_path / "clean") == ["a.wav", "b.flac", "deep/er/c.ogg"]
    assert (tmp_path / "clean" / "a.wav").stat().st_mtime_ns == kept
    good(denoise(*words))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_file_is_listed_and_the_others_are_denoised(
    tree: Path, tmp_path: Path, half: Path, jobs: int
) -> None:
    (tree / "bad.wav").write_bytes(b"RIFF invalid")
    done = denoise(tree, "-o", tmp_path / "clean", "--model", half, "-j", jobs)
    assert done.exit_code == 1
    assert "bad.wav: not a readable recording" in done.stderr
    assert done.stderr.splitlines()[-1] == "unhiss: 1 of 4 recordings failed"
    assert files(tmp_path / "clean") == ["a.wav", "b.flac", "deep/er/c.ogg"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(tree: Path, tmp_path: Path, half: Path) -> None:
    lines = good(denoise(tree, "-o", tmp_path / "clean", "--model", half, "--dry-run", "--format", "flac"))
    assert lines[0] == f"{tree / 'a.wav'} -> {tmp_path / 'clean' / 'a.flac'}"
    assert len(lines) == 3 and not (tmp_path / "clean").exists()


def test_a_pattern_keeps_the_tree_below_it(tree: Path, tmp_path: Path, half: Path) -> None:
    good(denoise(tree / "**" / "*.ogg", "-o", tmp_path / "clean", "--model", half))
    matched = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*.ogg"))]
    assert files(tmp_path / "clean") == matched and any("/" in name for name in matched)


def test_json_has_cost_levels_and_paths_of_each_recording(tree: Path, tmp_path: Path, half: Path) -> None:
    (tree / "bad.wav").write_bytes(b"RIFF invalid")
    done = denoise(tree, "-o", tmp_path / "clean", "--model", half, "--json", "--residual", tmp_path / "taken")
    reports = {Path(item["source"]).name: item for item in map(json.loads, done.stdout.splitlines())}
    assert reports["bad.wav"].keys() == {"source", "error"}
    one = reports["a.wav"]
    assert one["model"] == "gain" and one["rate"] == RATE and one["channels"] == 1 and one["warnings"] == []
    assert one["seconds"] == pytest.approx(9000 / RATE, abs=1e-3) and one["times_real_time"] > 1
    assert one["input_dbfs"] == pytest.approx(20 * np.log10(0.3 / 3**0.5), abs=0.2)
    assert one["input_dbfs"] - one["output_dbfs"] == pytest.approx(6.02, abs=0.05)
    assert {"input_snr_db", "output_snr_db", "target", "residual", "elapsed_s"} <= one.keys()


@pytest.mark.parametrize("name", ["a.wav", "b.flac"])
def test_clean_and_residual_add_up_to_the_input_sample_by_sample(
    tree: Path, tmp_path: Path, causal_model: Make, name: str
) -> None:
    words = ("-o", tmp_path / name, "--residual", tmp_path / f"taken-{name}", "--model", causal_model("tilt"))
    good(denoise(tree / name, *words))
    noisy, clean, taken = (read(path)[0] for path in (tree / name, tmp_path / name, tmp_path / f"taken-{name}"))
    assert np.array_equal(clean.astype(np.float64) + taken, noisy.astype(np.float64))
    assert np.abs(taken).max() > 0.01


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac"])
def test_clean_and_residual_add_up_whatever_the_coding_of_the_input(
    tree: Path, tmp_path: Path, causal_model: Make, name: str
) -> None:
    write(tmp_path / f"in-{name}", read(tree / "a.wav")[0], RATE)
    words = ("-o", tmp_path / name, "--residual", tmp_path / "residual.wav", "--model", causal_model("tilt"))
    good(denoise(tmp_path / f"in-{name}", *words))
    noisy, clean, taken = (read(tmp_path / path)[0] for path in (f"in-{name}", name, "residual.wav"))
    assert np.array_equal(taken, noisy - clean)
    assert np.abs(taken).max() > 0.01


def test_a_residual_that_its_format_rounds_or_clips_gives_a_warning(
    tree: Path, tmp_path: Path, causal_model: Make
) -> None:
    loud = np.where(np.arange(9000) // 50 % 2, -0.9, 0.9).astype(np.float32)
    write(tmp_path / "loud.wav", loud, RATE)
    words = ("-o", tmp_path / "b.wav", "--model", causal_model("gain", -1.0))
    done = denoise(tmp_path / "loud.wav", "--residual", tmp_path / "r.wav", *words)
    assert "samples of the residual above full scale were clipped" in done.stderr
    done = denoise(tree / "a.wav", "--residual", tmp_path / "r.mp3", *words, "--force")
    assert "the residual is rounded, as MPEG_LAYER_III is; a .wav keeps all of it" in done.stderr


def test_a_part_of_a_recording_is_kept(tree: Path, tmp_path: Path, half: Path) -> None:
    good(denoise(tree / "a.wav", "-o", tmp_path / "a.wav", "--start", 0.1, "--end", 0.4, "--model", half))
    noisy, clean = read(tree / "a.wav")[0], read(tmp_path / "a.wav")[0]
    assert clean.size == 0.3 * RATE
    assert np.abs(clean - noisy[1600:6400] / 2).max() < 1e-4


def test_another_rate_and_coding_can_be_written(tree: Path, tmp_path: Path, half: Path) -> None:
    words = ("--rate", 48000, "--subtype", "PCM_24", "--model", half)
    good(denoise(tree / "a.wav", "-o", tmp_path / "a.wav", *words))
    written = open_source(tmp_path / "a.wav").format
    assert (written.rate, written.frames, written.subtype) == (48000, 27000, "PCM_24")


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    """A float recording that a model makes 1.5 times full scale."""
    write(tmp_path / "loud.wav", np.sin(np.arange(9000) / 5).astype(np.float32) * 0.75, RATE, "FLOAT")
    return tmp_path / "loud.wav"


@pytest.mark.parametrize("mode", ["clip", "rescale", "none"])
def test_peaks_above_full_scale_are_clipped_or_rescaled_with_a_warning(
    loud: Path, tmp_path: Path, causal_model: Make, mode: str
) -> None:
    words = ("--clip-mode", mode, "--subtype", "PCM_16", "--model", causal_model("gain", 2.0))
    done = denoise(loud, "-o", tmp_path / "out.wav", *words)
    good(done)
    clean, expected = read(tmp_path / "out.wav")[0], read(loud)[0] * 2
    if mode == "rescale":
        assert np.abs(clean - expected / 1.5).max() < 1e-3
        assert "quieter" in done.stderr
    else:
        assert np.abs(clean - expected.clip(-1, 1)).max() < 1e-3
        assert ("samples above full scale were clipped (peak +3.5 dBFS)" in done.stderr) == (mode == "clip")


def test_a_float_file_keeps_its_peaks(loud: Path, tmp_path: Path, causal_model: Make) -> None:
    done = denoise(loud, "-o", tmp_path / "out.wav", "--model", causal_model("gain", 2.0))
    good(done)
    assert np.abs(read(tmp_path / "out.wav")[0]).max() == pytest.approx(1.5, abs=1e-3)
    assert done.stderr == ""


def test_in_place_keeps_the_permissions_of_a_recording(tree: Path, half: Path) -> None:
    (tree / "a.wav").chmod(0o600)
    good(denoise(tree / "a.wav", "--in-place", "--model", half))
    assert (tree / "a.wav").stat().st_mode & 0o777 == 0o600


def test_a_wrong_option_is_reported_once_for_a_folder_and_nothing_is_created(
    tree: Path, tmp_path: Path, half: Path
) -> None:
    with pytest.raises(ConfigError, match="expected 0 <= start < end"):
        raise denoise(tree, "-o", tmp_path / "clean", "--start", 3, "--end", 1, "--model", half).exception or OSError
    assert not (tmp_path / "clean").exists()


def test_an_unexpected_error_does_not_stop_the_other_recordings(
    tree: Path, tmp_path: Path, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Denoiser.process

    def faulty(self: Denoiser, job: FileJob, progress: Progress) -> FileReport:
        if job.source.path.name == "a.wav":
            raise IndexError("list index out of range\nsomewhere")
        return original(self, job, progress)

    monkeypatch.setattr(Denoiser, "process", faulty)
    done = denoise(tree, "-o", tmp_path / "clean", "--model", half)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0].startswith(
        f"unhiss: {tree / 'a.wav'}: list index out of range - an error of unhiss"
    )
    assert files(tmp_path / "clean") == ["b.flac", "deep/er/c.ogg"]


def test_skip_existing_reports_when_all_outputs_exist(tree: Path, tmp_path: Path, half: Path) -> None:
    good(denoise(tree, "-o", tmp_path / "clean", "--model", half))
    lines = good(denoise(tree, "-o", tmp_path / "clean", "--model", half, "--skip-existing"))
    assert lines == ["nothing to do: all of 3 have an output"]
    lines = good(denoise(tree, "-o", tmp_path / "clean", "--model", half, "--dry-run"))
    assert all(line.endswith("(exists: it needs --force)") for line in lines)


def test_residuals_inside_the_folder_are_not_inputs_of_the_next_run(tree: Path, half: Path) -> None:
    words = (tree, "-o", tree / "clean", "--residual", tree / "taken", "--model", half)
    good(denoise(*words))
    good(denoise(*words, "--force"))
    assert files(tree / "clean") == files(tree / "taken") == ["a.wav", "b.flac", "deep/er/c.ogg"]


def test_json_reports_the_failure_of_a_single_recording(tree: Path, tmp_path: Path, half: Path) -> None:
    (tree / "bad.wav").write_bytes(b"RIFF invalid")
    done = denoise(tree / "bad.wav", "-o", tmp_path / "b.wav", "--model", half, "--json")
    assert done.exit_code == 1
    assert "not a readable recording" in json.loads(done.stdout)["error"]
    assert not done.stderr


def test_file_names_in_any_encoding_are_accepted(tree: Path, tmp_path: Path, half: Path) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        (tree / "a.wav").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    (tmp_path / "out").mkdir()
    good(denoise(tmp_path / name, "-o", tmp_path / "out" / name, "--model", half))
    lines = good(denoise(tmp_path / name, "-o", tmp_path / "out", "--model", half, "--json", "--force"))
    assert json.loads(lines[0])["target"] == str(tmp_path / "out" / name)
    assert [os.fsencode(path.name) for path in (tmp_path / "out").iterdir()] == [b"caf\xe9.wav"]


def test_in_place_replaces_the_recording_when_it_is_complete(tree: Path, half: Path) -> None:
    before = read(tree / "a.wav")[0]
    good(denoise(tree / "a.wav", "--in-place", "--model", half))
    assert np.abs(read(tree / "a.wav")[0] - before / 2).max() < 1e-4
    assert files(tree) == [".hidden.wav", "a.wav", "b.flac", "deep/er/c.ogg", "notes.txt"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("a.wav", "--in-place", "-o", "b.wav"), "leave -o, --residual, --format and pipes out"),
        (("a.wav", "-o", "b.wav", "--start", "3"), "a.wav: 0.56 s long, and the part to keep starts at 3 s"),
        (("a.wav", "-o", "b.wav", "--start", "1", "--end", "0.5"), "expected 0 <= start < end, in seconds"),
        (("a.wav", "-o", "b.wav", "--device", "abacus"), "device = 'abacus'; expected auto, cpu or cuda"),
        (("a.wav", "-o", "b.wav", "-j", "-1"), "-j -1: expected 1 or more"),
        (("a.wav", "-o", "b.wav", "--residual", "b.wav"), "name two files"),
        (("a.wav", "-o", "b.wav", "--residual", "c.wav", "--rate", "8000"), "at one rate; leave one of the two out"),
        (("deep", "-o", "b.wav"), "a folder's recordings need a folder, not b.wav"),
    ],
)
def test_incompatible_options_are_refused(
    tree: Path, half: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(tree)
    done = denoise(*words, "--model", half)
    assert done.exit_code != 0
    assert line in (str(done.exception) if isinstance(done.exception, UnhissError) else done.output)
    assert not (tree / "b.wav").exists()
