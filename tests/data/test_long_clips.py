"""Recordings longer than --max-seconds: cut at their silences, or left out where that is asked for."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from sounds import RATE, sources, voice

from unhiss.cli.prepare import command
from unhiss.data import folder
from unhiss.data.clips import leaks
from unhiss.data.manifest import ManifestRow
from unhiss.data.prepare import ClipSource, prepare
from unhiss.data.shards import Preprocessing
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.fleet.mapping import Fleet

LONGEST_S = 2.0


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six readers with 1.4 s, 5 s or 9 s each, half of them with a second of silence in the middle."""
    root, rng = tmp_path_factory.mktemp("readings") / "speech", np.random.default_rng(4)
    for number, seconds in enumerate((1.4, 5, 9) * 2):
        audio = voice(rng, seconds)
        if number >= 3:
            audio = np.concatenate([audio[: audio.size // 2], np.zeros(RATE, np.float32), audio[audio.size // 2 :]])
        (root / f"reader{number}").mkdir(parents=True)
        soundfile.write(root / f"reader{number}" / "a.flac", audio, RATE)
    return root


def made(root: Path, target: Path, **settings) -> Store:
    clips = [replace(clip, text="all that is read") for clip in folder.CORPUS.read(root, role="speech")]
    source = ClipSource("folder:speech", root, clips)
    return prepare([source], target, Preprocessing(**settings), valid_share=0.4, fleet=Fleet(1))


def by_recording(store: Store) -> dict[str, list[ManifestRow]]:
    found: dict[str, list[ManifestRow]] = {}
    for row in store.rows:
        found.setdefault(row.id.split("#")[0], []).append(row)
    return found


@pytest.mark.parametrize("keep_silence", [True, False])
def test_the_pieces_of_a_recording_are_its_samples_end_to_end(
    readings: Path, tmp_path: Path, keep_silence: bool
) -> None:
    whole = made(readings, tmp_path / "whole", max_seconds=100, keep_silence=keep_silence)
    cut = made(readings, tmp_path / "cut", max_seconds=LONGEST_S, keep_silence=keep_silence)
    pieces = by_recording(cut)
    assert pieces.keys() == {row.id for row in whole.rows}
    for row in whole.rows:
        joined = np.concatenate([cut.samples(piece) for piece in pieces[row.id]])
        np.testing.assert_array_equal(joined, whole.samples(row))
    assert all(row.length <= LONGEST_S * RATE for row in cut.rows)
    assert len(cut.rows) > 12


def test_pieces_have_numbered_ids_no_text_and_the_split_of_their_recording(readings: Path, tmp_path: Path) -> None:
    store = made(readings, tmp_path / "set", max_seconds=LONGEST_S)
    assert not leaks(store.rows) and {row.split for row in store.rows} == {"train", "valid"}
    for name, rows in by_recording(store).items():
        assert len({(row.split, row.groups, row.kind) for row in rows}) == 1
        if len(rows) == 1:
            assert (rows[0].id, rows[0].text) == (name, "all that is read")
        else:
            assert [row.id for row in rows] == [f"{name}#{number}" for number in range(1, len(rows) + 1)]
            assert {row.text for row in rows} == {""}  # the text of the recording would be wrong for each


def test_a_piece_of_silence_alone_is_no_clip(tmp_path: Path) -> None:
    """Its level would be raised to that of speech."""
    rng = np.random.default_rng(0)
    audio = np.concatenate([voice(rng, 3.0), 1e-5 * rng.standard_normal(6 * RATE), voice(rng, 3.0)])
    soundfile.write(tmp_path / "a.wav", audio, RATE, "FLOAT")
    store = made(tmp_path, tmp_path / "set", max_seconds=LONGEST_S, keep_silence=True)
    assert all(np.abs(store.samples(row)).max() > 1000 for row in store.rows)
    assert 6 <= sum(row.length for row in store.rows) / RATE <= 6 + 2 * LONGEST_S


def test_the_rule_of_the_reference_drops_recordings_by_their_length(readings: Path, tmp_path: Path) -> None:
    store = made(readings, tmp_path / "set", max_seconds=LONGEST_S, drop_long=True)
    assert sorted(row.id for row in store.rows) == ["folder/reader0/a.flac"]  # reader 3 has 2.4 s with the silence
    assert store.settings["rejected"] == {"long": 5} and store.settings["cut"]["recordings"] == 0
    with (store.folder / "rejected.csv").open() as file:
        rows = {row["id"]: (row["kind"], float(row["seconds"])) for row in csv.DictReader(file)}
    assert rows["folder/reader5/a.flac"] == ("reader5", 10.0)
    lost = store.settings["lost"]["long"]["speech"]
    assert lost["hours"] == pytest.approx((5 + 9 + 2.4 + 6 + 10) / 3600, abs=1e-4)
    assert (lost["kinds"], lost["of_kinds"]) == (5, 6)


def test_shorter_pieces_than_a_clip_may_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_seconds = 0.5; expected at least 1"):
        Preprocessing(max_seconds=0.5)


def prepared_output(*words: object) -> tuple[str, str]:
    result = CliRunner().invoke(command, [*map(str, words), "-j", "1"])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_what_was_cut_or_dropped_is_told_with_hours_speakers_and_the_option_that_keeps_it(
    readings: Path, tmp_path: Path
) -> None:
    words = ("--speech", f"folder:{readings}", "--noise", "synth:hum=4", "--max-seconds", 2)
    out, _ = prepared_output(*words, "-o", tmp_path / "cut")  # reader 3 has 1.4 s without the silence
    cut = re.search(r"cut: 4 recordings longer than 2 s into (\d+) clips, at their silences \(--drop-long", out)
    assert cut and int(cut[1]) > 10 and "left out" not in out
    card = (tmp_path / "cut" / "card.md").read_text(encoding="utf-8")
    assert f"4 recordings are cut at their silences into {cut[1]} clips" in card
    out, _ = prepared_output(*words, "--drop-long", "-o", tmp_path / "dropped")
    assert (
        "left out: 5 long, 0.01 h of speech, 5 of 6 speakers entirely; without --drop-long they are cut into"
        " pieces, with a larger --max-seconds more stay whole (listed in"
    ) in out
    card = (tmp_path / "dropped" / "card.md").read_text(encoding="utf-8")
    assert "| long | 5 | 0.009 | 5 | longer than preprocessing.max_seconds, with preprocessing.drop_long |" in card


@pytest.mark.parametrize(
    ("given", "missing", "help_"),
    [("speech", "noise", "--noise synth:wind,rain,hum,siren"), ("noise", "speech", "--speech NAME:PATH")],
)
def test_a_set_without_a_role_says_what_cannot_be_trained_and_what_helps(
    tmp_path: Path, given: str, missing: str, help_: str
) -> None:
    speech, noise = sources(tmp_path, "hum=4")
    spec = f"folder:{speech.root}" if given == "speech" else noise.spec
    _, err = prepared_output(f"--{given}", spec, "-o", tmp_path / "set")
    assert f"the set has no {missing}, and no model can be trained on it alone" in err and help_ in err
    assert "unhiss data merge" in err
