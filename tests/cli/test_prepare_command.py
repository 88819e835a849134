from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from unhiss.cli import COMMANDS, main
from unhiss.cli import unhiss as commands
from unhiss.data.store import Store

RATE = 22050


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Four speakers with a clip each."""
    t = np.arange(RATE) / RATE
    for number in range(4):
        file = tmp_path / "speech" / f"speaker{number}" / "a.wav"
        file.parent.mkdir(parents=True)
        soundfile.write(file, 0.3 * np.sin(2 * np.pi * (150 + 10 * number) * t) * (np.sin(9 * t) > -0.5), RATE)
    return tmp_path / "speech"


@pytest.fixture
def unhiss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path):
    """Run the command in tmp_path: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unhiss", "prepare", "-j", "1", *words.split()])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def test_a_set_without_validation_says_so(unhiss, speech: Path) -> None:
    code, _, err = unhiss("--speech folder:speech --noise synth:hum=2,rain=2 --valid-share 0 -o set")
    assert code == 0
    assert err.count("is left for validation, and unhiss train needs one") == 2


def test_corpora_in_set_pairs_and_frames_out(unhiss, speech: Path, tmp_path: Path) -> None:
    code, out, err = unhiss(
        "--speech folder:speech --noise synth:hum=2,rain=2 --valid-share 0.25 -o new/set "
        "--pairs 8 --wav new/pairs --spectrograms new/frames --split 30/7"
    )
    assert (code, err) == (0, "")
    for line in (
        "speech/valid         1 clips",
        "8 noisy/clean pairs in new/pairs (6 train, 2 valid)",
        "37 spectrograms in new/frames (30 train, 7 valid)",
        "ready: new/set (card: new/set/card.md)",
    ):
        assert line in out
    assert len(Store(tmp_path / "new" / "set").rows) == 8
    assert len(list((tmp_path / "new" / "pairs" / "noisy").iterdir())) == 8
    assert np.load(tmp_path / "new" / "frames" / "valid-noisy.npy").shape == (7, 128, 128)


def test_what_is_left_out_is_told_and_is_no_failure(unhiss, speech: Path) -> None:
    soundfile.write(speech / "speaker0" / "still.wav", np.zeros(RATE), RATE)
    (speech / "speaker0" / "torn.wav").write_bytes(b"RIFF")
    code, out, _ = unhiss("--speech folder:speech -o set")
    assert code == 0
    assert "left out: 1 broken (listed in set/rejected.csv)" in out
    assert "left out: 1 silent" in out


def test_rows_of_a_table_without_a_file_are_listed(unhiss, speech: Path, tmp_path: Path) -> None:
    clips = tmp_path / "cv" / "en" / "clips"
    clips.mkdir(parents=True)
    (speech / "speaker0" / "a.wav").rename(clips / "here.mp3")  # libsndfile looks inside
    rows = ["client_id\tpath", "x\there.mp3", "y\tgone.mp3"]
    (clips.parent / "train.tsv").write_text("\n".join(rows), encoding="utf-8")
    code, out, _ = unhiss("--speech common-voice:cv -o set")
    assert code == 0
    assert "left out: 1 missing" in out
    with (tmp_path / "set" / "rejected.csv").open() as file:
        assert [(row["id"], row["reason"]) for row in csv.DictReader(file)] == [
            ("common-voice/en/clips/gone.mp3", "missing")
        ]


def test_no_help_shows_a_limit_that_is_none() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(commands, [name, "--help"])
        assert result.exit_code == 0 and "None" not in result.output, name


@pytest.mark.parametrize(
    "words, code, line",
    [
        ("--speech folder:nowhere", 1, "nowhere does not exist"),
        ("--speech folder:empty", 1, "empty is empty"),
        ("--speech folder:letter.txt", 1, "letter.txt is a file"),
        ("--speech common-voice:speech", 1, "speech is not Common Voice: expected LANG/train.tsv"),
        ("--noise urbansound8k:speech", 1, "speech is not UrbanSound8K"),
        ("--speech common-voice:cv", 1, "train.tsv has no column 'client_id'; found: speaker, path"),
        ("--speech comon-voice:speech", 2, "did you mean 'common-voice'?"),
        ("--speech folder:speech:trian", 2, "folder has no part 'trian'; did you mean 'train'?"),
        ("--noise synth:wnd", 2, "no synthetic noise 'wnd'; did you mean 'wind'?"),
        ("--noise synth:wind=x", 2, "'x' is no number of clips"),
        ("--speech synth:wind", 2, "synth:wind is noise; give it to --noise"),
        ("--speech folder:torn", 1, "nothing usable: all 1 clips were left out"),
        ("--speech folder:speech -o other", 1, "other is not empty and holds no data set"),
        ("--speech folder:speech -o letter.txt", 1, "letter.txt is a file"),
        ("--speech folder:speech -o letter.txt/set", 1, "letter.txt"),
        ("--speech folder:speech --noise synth:hum=2 --pairs 2 --wav other", 1, "other is not empty"),
        ("--speech folder:speech --noise synth:hum=2 --pairs 2 --wav set", 2, "need a folder each"),
        ("", 2, "give at least one --speech or --noise"),
        ("--noise synth:wind --pairs 3", 2, "--pairs COUNT and --wav DIR go together"),
        ("--noise synth:wind --pairs 3 --wav w", 2, "mixtures need both"),
        ("--noise synth:wind --pairs 0 --wav w", 2, "0 is not in the range"),
        ("--noise synth:wind --sample-rate 0", 2, "0 is not in the range"),
        ("--noise synth:wind --split many", 2, "--split many: expected TRAINING/VALIDATION"),
        ("--noise synth:wind --split 0/0", 2, "--split 0/0"),
        ("--noise synth:wind --split 1/-1", 2, "--split 1/-1"),
        ("--noise synth:wind --max-seconds nan", 2, "nan is no number to compare with"),
        ("--noise synth:wind --min-snr inf", 2, "inf is no number to compare with"),
        ("--noise synth:wind --snr loud", 2, "--snr loud: expected LOW:HIGH"),
        ("--noise synth:wind --snr 5:1", 2, "--snr 5:1"),
        ("--noise synth:wind --snr nan:nan", 2, "--snr nan:nan"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    unhiss, speech: Path, tmp_path: Path, words: str, code: int, line: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "letter.txt").write_text("Dear reader")
    for name in ("other", "cv/en"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other" / "thesis.doc").touch()
    (tmp_path / "cv" / "en" / "train.tsv").write_text("speaker\tpath\n")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.wav").write_bytes(b"RIFF")
    found, out, err = unhiss(words if "-o " in words else f"{words} -o set")
    assert (found, out) == (code, "")
    assert line in err
    assert "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1
    assert not (tmp_path / "set" / "dataset.json").exists()


def test_a_set_of_other_settings_is_refused_and_left_alone(unhiss, speech: Path, tmp_path: Path) -> None:
    assert unhiss("--speech folder:speech -o set")[0] == 0
    before = (tmp_path / "set" / "dataset.json").read_bytes()
    code, _, err = unhiss("--speech folder:speech --keep-silence -o set")
    assert code == 1
    assert "set holds a data set of other sources or settings" in err
    assert (tmp_path / "set" / "dataset.json").read_bytes() == before


def test_speech_of_which_nothing_is_left_is_told(unhiss, speech: Path, tmp_path: Path) -> None:
    code, out, err = unhiss("--speech folder:speech --noise synth:hum=2 --min-snr 99 -o set")
    assert code == 1
    assert "left out: 4 noisy" in out and "ready" not in out
    assert err.startswith("unhiss: no speech is left of folder:speech; set/rejected.csv says why: ")


def test_a_damaged_shard_that_is_removed_is_made_again(unhiss, speech: Path, tmp_path: Path) -> None:
    words = "--speech folder:speech --valid-share 0 -o set"
    assert unhiss(words)[0] == 0
    shard = tmp_path / "set" / "shards" / "speech-train-00000.npy"
    before = shard.read_bytes()
    shard.unlink()
    assert unhiss(words)[0] == 0
    assert shard.read_bytes() == before


def test_speech_can_be_filtered_by_dnsmos(unhiss, speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("speechmos")
    code, _, err = unhiss("--speech folder:speech/speaker0 --min-dnsmos 4.9 -o set")
    assert code == 1
    assert "all 1 clips were left out, the first for: poor (DNSMOS" in err


def test_real_speech_and_noise_become_a_set(unhiss, data: Path, tmp_path: Path) -> None:
    code, out, err = unhiss(
        f"--speech common-voice:{data}/cv-corpus-6.1-2020-12-11/en --noise folder:{data}/noise/rain "
        f"--noise folder:{data}/noise/wind --valid-share 0.1 -o set --pairs 6 --wav pairs"
    )
    assert code == 0, err
    assert "6 noisy/clean pairs in pairs" in out
    store = Store(tmp_path / "set")
    speech, noise = ([row for row in store.rows if row.role == role] for role in ("speech", "noise"))
    assert len(speech) > 20
    assert {row.kind for row in noise} == {"rain", "wind"}
    assert all(row.licence == "CC0 1.0" and row.text and row.language == "en" for row in speech)
    # Mozilla's MP3s of 32 to 48 kHz end at 8 kHz or above; speech lies between -45 and -8 dBFS.
    assert all(4000 < row.bandwidth_hz <= RATE / 2 and -60 < row.level_dbfs < -5 for row in speech)
    assert all(row.length <= 10 * RATE for row in speech)
    for name in ("000000", "000005"):
        clean, noisy = (soundfile.read(tmp_path / "pairs" / side / f"{name}.wav")[0] for side in ("clean", "noisy"))
        assert clean.size == noisy.size > RATE / 2
        assert np.abs(noisy - clean).max() > 0
