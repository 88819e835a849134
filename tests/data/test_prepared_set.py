from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from sounds import RATE, hashes, small_set, sources, speech_folder, voice

from unhiss.data import folder, shards, synth
from unhiss.data.clips import Clip, leaks
from unhiss.data.prepare import ClipSource, plan_shards, prepare
from unhiss.data.shards import Preprocessing, Rejected
from unhiss.data.shards import load as load_with_id
from unhiss.data.store import Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.errors import CorpusError, DataError
from unhiss.fleet.mapping import Fleet


def speech(root: Path, **changes) -> list[ClipSource]:
    clips = [replace(clip, **changes) for clip in folder.CORPUS.read(root, role="speech")]
    return [ClipSource(f"folder:{root}", root, clips)]


def rejected(store: Store) -> dict[str, str]:
    with (store.folder / "rejected.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}


def one_clip(path: Path, role: str = "speech") -> Clip:
    return folder.CORPUS.read(path, role=role)[0]


def load_clip(clip: Clip, preprocessing: Preprocessing, **options):
    (loaded,) = load_with_id("id", clip, preprocessing, **options)
    return loaded


def test_a_set_holds_every_clip_once_with_its_measures(prepared: Store) -> None:
    store = prepared
    assert sorted(row.id for row in store.rows if row.role == "speech") == [
        f"folder/speaker{speaker}/{number}.wav" for speaker in range(4) for number in range(2)
    ]
    assert {row.kind for row in store.rows if row.role == "noise"} == {"wind", "hum", "thuds"}
    assert set(store.parts) == {(role, split) for role in ("speech", "noise") for split in ("train", "valid")}
    assert store.rate == RATE
    assert not leaks(store.rows)


def test_clips_are_loaded_and_resampled_as_librosa_does(tmp_path: Path) -> None:
    speech_folder(tmp_path, speakers=3, each=1)
    for path in sorted(tmp_path.rglob("*.wav")):
        _, samples = load_clip(one_clip(path.parent), Preprocessing(keep_silence=True))
        audio, rate = soundfile.read(path, dtype="float32")
        expected = librosa.resample(audio, orig_sr=rate, target_sr=RATE)
        assert samples.size == pytest.approx(expected.size, abs=1)
        size = min(samples.size, expected.size)
        assert np.abs(samples[:size] / FULL_SCALE - expected[:size]).max() <= 1.01 / FULL_SCALE


def test_stereo_is_mixed_down_to_its_mean(tmp_path: Path) -> None:
    audio = np.stack([voice(np.random.default_rng(0), 1.0), np.zeros(RATE, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", audio, RATE, "FLOAT")
    _, samples = load_clip(one_clip(tmp_path), Preprocessing(keep_silence=True))
    assert samples / FULL_SCALE == pytest.approx(audio[:, 0] / 2, abs=1 / FULL_SCALE)


def test_silence_goes_unless_it_is_kept(tmp_path: Path) -> None:
    audio = np.concatenate([np.zeros(RATE), voice(np.random.default_rng(0), 0.5), np.zeros(RATE)])
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    _, kept = load_clip(one_clip(tmp_path), Preprocessing(keep_silence=True))
    _, cut = load_clip(one_clip(tmp_path), Preprocessing())
    assert kept.size == audio.size
    assert 0.4 * RATE < cut.size < 0.7 * RATE


@pytest.mark.parametrize(
    "name, settings, reason",
    [
        ("long", {"max_seconds": 1.0, "drop_long": True}, "long"),
        ("silent", {}, "silent"),
        ("empty", {}, "silent"),
        ("short", {}, "silent"),
        ("broken", {}, "broken"),
        ("nothing", {}, "broken"),
        ("cut", {}, "broken"),
        ("noisy", {"min_snr_db": 15.0}, "noisy"),
        ("poor", {"min_mos": 3.0}, "poor"),
    ],
)
def test_a_clip_that_cannot_be_used_is_rejected_for_its_reason(
    tmp_path: Path, name: str, settings: dict, reason: str
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.wav"
    audio = {"long": voice(rng, 1.2), "silent": np.zeros(RATE), "empty": np.zeros(0), "short": voice(rng, 0.05),
             "noisy": rng.standard_normal(RATE) * 0.1}.get(name, voice(rng, 1.0))  # fmt: skip
    soundfile.write(path, audio, RATE)
    if name == "cut":
        path.write_bytes(path.read_bytes()[:9999])
    if name in ("broken", "nothing"):
        path.write_bytes(b"RIFF" if name == "broken" else b"")
    with pytest.raises(Rejected) as caught:
        load_clip(one_clip(tmp_path), Preprocessing(**settings), rater=lambda audio, rate: 2.5)
    assert caught.value.reason == reason
    assert "strict" not in str(vars(caught.value)) + str(caught.value), "prepare has no such option"


def test_noise_is_not_filtered_by_length_snr_or_mos(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal(2 * RATE) * 0.1, RATE)
    strict = Preprocessing(max_seconds=1, min_snr_db=50, min_mos=5)
    assert load_clip(one_clip(tmp_path, "noise"), strict, rater=lambda audio, rate: 1.0)[1].size > RATE


def test_missing_silent_and_broken_clips_are_counted_and_listed_but_not_fatal(tmp_path: Path) -> None:
    root = speech_folder(tmp_path / "speech")
    soundfile.write(root / "speaker0" / "still.wav", np.zeros(RATE), RATE)
    (root / "speaker0" / "torn.wav").write_bytes(b"RIFF....")
    clips = sources(tmp_path)
    (root / "speaker1" / "0.wav").unlink()
    store = prepare(clips, tmp_path / "set", Preprocessing(), fleet=Fleet(1))
    assert rejected(store) == {
        "folder/speaker0/still.wav": "silent",
        "folder/speaker0/torn.wav": "broken",
        "folder/speaker1/0.wav": "missing",
    }
    assert store.settings["rejected"] == {"broken": 1, "missing": 1, "silent": 1}
    assert sum(entry["clips"] for entry in store.settings["splits"].values()) == len(store.rows) == 7 + 9


def test_missing_files_do_not_count_when_the_validation_part_is_split_off(tmp_path: Path) -> None:
    root = speech_folder(tmp_path / "speech", speakers=5, each=1)
    missing = [replace(one_clip(root), path=root / f"{i}.wav", groups=(f"missing{i}",)) for i in range(95)]
    (source,) = speech(root)
    plan = plan_shards([replace(source, clips=[*missing, *source.clips])], Preprocessing(), 0.2, 0)
    assert sorted(clip.split for _, clip in plan.clips) == ["train"] * 4 + ["valid"]
    assert [item["reason"] for item in plan.rejected] == ["missing"] * 95


def test_clips_that_may_not_be_used_commercially_can_be_left_out(tmp_path: Path) -> None:
    root = speech_folder(tmp_path / "speech", speakers=4, each=1)
    (source,) = speech(root)
    clips = [replace(clip, commercial_use=i > 0, licence="CC BY-NC 3.0") for i, clip in enumerate(source.clips)]
    plan = plan_shards([replace(source, clips=clips)], Preprocessing(commercial_only=True), 0.0, 0)
    assert [name for name, _ in plan.clips] == [f"folder/speaker{i}/0.wav" for i in (1, 2, 3)]
    assert [(item["reason"], item["detail"]) for item in plan.rejected] == [("licence", "CC BY-NC 3.0")]


def test_a_file_named_twice_counts_once_and_files_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    one, two = (speech_folder(tmp_path / name, speakers=2, each=1) for name in ("one", "two"))
    plan = plan_shards([*speech(one), *speech(one / "speaker0"), *speech(two)], Preprocessing(), 0.0, 0)
    names = [name for name, _ in plan.clips]
    assert names == [f"folder/speaker{i}/0.wav{twin}" for i in (0, 1) for twin in ("", "~2")]
    assert [item["reason"] for item in plan.rejected] == ["repeated"]


def test_a_group_in_two_splits_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root = speech_folder(tmp_path / "speech", speakers=1)
    (train,), (valid,) = speech(root, flexible_split=False), speech(root, flexible_split=False, split="valid")
    with pytest.raises(CorpusError, match=r"speaker/speech/speaker0 in train .* and valid"):
        prepare([train, valid], tmp_path / "set", Preprocessing(), fleet=Fleet(1))
    assert not (tmp_path / "set").exists()


def test_nothing_usable_is_one_clear_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    with pytest.raises(DataError, match=r"nothing usable: all 1 clips were left out, the first for: silent"):
        prepare(speech(tmp_path), tmp_path / "set", Preprocessing(), fleet=Fleet(1))
    clips = speech(tmp_path)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(
        DataError, match=r"nothing usable: all 1 clips were left out, the first for: missing \(.*a\.wav\)"
    ):
        prepare(clips, tmp_path / "set2", Preprocessing(), fleet=Fleet(1))


def test_one_process_and_two_give_the_same_bytes(tmp_path: Path) -> None:
    clips = sources(tmp_path, "knocks=70")
    prepare(clips, tmp_path / "one", Preprocessing(), fleet=Fleet(1))
    prepare(clips, tmp_path / "two", Preprocessing(), fleet=Fleet(2))
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_a_lost_shard_is_made_again(tmp_path: Path, own_copy: Store) -> None:
    before = hashes(own_copy.folder)
    for path in (tmp_path / "set" / "shards").glob("noise-*"):
        path.unlink()
    assert hashes(small_set(tmp_path).folder) == before


def test_other_settings_or_sources_need_another_folder(tmp_path: Path, own_copy: Store) -> None:
    with pytest.raises(DataError, match="of other sources or settings"):
        small_set(tmp_path, keep_silence=True)
    soundfile.write(tmp_path / "speech" / "speaker0" / "new.wav", voice(np.random.default_rng(9), 1.0), RATE)
    with pytest.raises(DataError, match="of other sources or settings"):
        small_set(tmp_path)


def test_dataset_json_states_settings_counts_hours_licences_and_hashes(prepared: Store) -> None:
    store = prepared
    settings = json.loads((store.folder / "dataset.json").read_text())
    assert settings["preprocessing"]["max_seconds"] == 10.0
    assert settings["sources"] == ["folder:speech", "synth:wind=3,hum=3,thuds=3"]
    hours_of_noise = sum(row.length for row in store.rows if row.corpus == "synth") / RATE / 3600
    assert settings["licences"]["synth: CC0"] == {
        "clips": 9, "hours": pytest.approx(hours_of_noise, abs=5e-5), "commercial_use": True
    }  # fmt: skip
    assert settings["licences"]["folder: unknown"]["commercial_use"] is False
    hours = sum(row.length for row in store.rows) / RATE / 3600
    assert sum(part["hours"] for part in settings["splits"].values()) == pytest.approx(hours, abs=2e-4)
    for name, digest in settings["shards"].items():
        assert hashlib.sha256((store.folder / "shards" / name).read_bytes()).hexdigest() == digest


def test_the_card_describes_the_set_and_contains_no_time(tmp_path: Path, own_copy: Store) -> None:
    store = own_copy
    text = (store.folder / "card.md").read_text(encoding="utf-8")
    for line in (
        "17 clips",
        "| speech/train |",
        "synth: CC0",
        "`preprocessing.keep_silence`",
        "- `folder:speech`",
        "Nothing.",
    ):
        assert line in text
    assert (store.folder / "card.png").stat().st_size > 5000
    before = hashes(store.folder)
    shutil.rmtree(store.folder)
    assert hashes(small_set(tmp_path).folder) == before


def test_shards_are_what_numpy_would_have_saved(tmp_path: Path, prepared: Store) -> None:
    store = prepared
    for path in (store.folder / "shards").glob("*.npy"):
        np.save(tmp_path / "again.npy", np.load(path))
        assert (tmp_path / "again.npy").read_bytes() == path.read_bytes()


def test_synthetic_noise_needs_no_file_but_a_file_of_that_name_is_read(tmp_path: Path) -> None:
    clip = next(synth.clips("hum=1"))
    _, samples = load_clip(clip, Preprocessing(keep_silence=True))
    assert samples / FULL_SCALE == pytest.approx(synth.make("hum", 0, RATE), abs=0.51 / FULL_SCALE)
    assert not synth.is_synthetic(replace(clip, path=tmp_path / "hum" / "0"))
    assert shards.CLIPS_PER_SHARD > 1
