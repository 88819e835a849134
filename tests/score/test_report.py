"""Systems on recordings: all rows in a fixed order; a failure does not stop the others."""

import json
import math
import sys

import numpy as np
import pytest

from unhiss.errors import ConfigError, MissingExtra
from unhiss.score import scorer
from unhiss.score.pairs import find_pairs, find_recordings
from unhiss.score.registry import DEFAULT, METRICS, select_metrics
from unhiss.score.report import CACHE, NOISY, evaluate
from unhiss.score.systems import System

ROUND_OFF = 1e-12  # one thread adds up in another order than two
CHEAP = ("snr_gain_db", "loudness_db", "noise_down_db", "clean_si_sdr_db", "lag", "extra")


def system(name, function, identity=""):
    return System(name=name, load=lambda: function, identity=identity or name)


def halve(audio, rate):
    return 0.5 * audio


def halving():
    return halve


def late(audio, rate):
    return np.concatenate([np.zeros(80, np.float32), audio[:-80]])


def test_rows_are_by_system_with_the_noisy_input_first_and_then_by_pair(folder):
    got = evaluate([system("zeta", halve), system("alpha", late)], find_pairs(folder), metrics=CHEAP)
    assert got.systems == (NOISY, "zeta", "alpha") and got.metrics == CHEAP
    assert [(row.system, row.pair.id) for row in got.rows] == [
        (name, pair) for name in (NOISY, "zeta", "alpha") for pair in "bac"
    ]
    for row in got.of("zeta"):
        assert row.scores["noise_down_db"] == pytest.approx(20 * np.log10(2), abs=1e-3)
        assert row.scores["lag"] == 0 and row.cost_us >= 0
    # 5 ms of 4.6 s: the level hardly changes, and every sample is late.
    assert all(row.scores["lag"] == 80 and abs(row.scores["loudness_db"]) < 2 for row in got.of("alpha"))


def test_the_noisy_input_has_no_gain_no_cost_and_no_reruns(folder):
    for row in evaluate([], find_pairs(folder), metrics=CHEAP).rows:
        assert row.scores["snr_gain_db"] == 0 and row.scores["lag"] == 0 and row.scores["extra"] == 0
        assert math.isnan(row.scores["noise_down_db"]) and math.isnan(row.scores["clean_si_sdr_db"])
        assert math.isnan(row.cost_us) and not row.undefined


def test_the_report_is_the_same_whatever_the_number_of_processes(folder):
    (folder / "clean" / "a.wav").unlink()
    halver = [System(name="halve", load=halving, identity="halve")]
    names = ("stoi", "estoi", "si_sdr_db", "ovrl")
    one = evaluate(halver, find_pairs(folder), metrics=names, jobs=1)
    two = evaluate(halver, find_pairs(folder), metrics=names, jobs=2)
    assert [row.pair.id for row in two.failures] == ["a", "a"]
    assert [(row.system, row.pair.id, row.failure) for row in one.rows] == [
        (row.system, row.pair.id, row.failure) for row in two.rows
    ]
    for first, second in zip(one.rows, two.rows, strict=True):
        np.testing.assert_allclose(list(first.scores.values()), list(second.scores.values()), rtol=ROUND_OFF)


def test_a_broken_pair_fails_for_every_system_and_the_rest_goes_on(folder):
    (folder / "noisy" / "a.wav").write_bytes(b"broken")
    got = evaluate([system("halve", halve)], find_pairs(folder), metrics=CHEAP)
    assert [(row.system, row.pair.id) for row in got.failures] == [(NOISY, "a"), ("halve", "a")]
    assert all("not a readable recording" in row.failure for row in got.failures)
    assert all(math.isnan(value) for row in got.failures for value in row.scores.values())
    assert sum(not row.failure for row in got.rows) == 4


def crash(audio, rate):
    raise ValueError("boom\nacross lines")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (crash, "ValueError: boom across lines"),
        (lambda audio, rate: np.full_like(audio, np.nan), "gave NaN or infinite samples, 73,600 of 73,600"),
        (lambda audio, rate: "not audio", "ValueError: could not convert string"),
        (lambda audio, rate: np.stack([audio, audio]), r"gave an array of shape \(2, 73600\) for \(73600,\)"),
        (lambda audio, rate: audio[::2], "gave 36,800 samples for 73,600; it must keep the length"),
    ],
)
def test_an_invalid_output_of_a_system_is_a_failed_row(folder, function, says):
    import re

    got = evaluate([system("wrong", function)], find_pairs(folder)[:1], metrics=CHEAP)
    assert not got.of(NOISY)[0].failure
    assert re.search(says, got.of("wrong")[0].failure)


@pytest.mark.parametrize("extra", [-100, 37])
def test_another_length_is_counted_and_scored_as_if_cut_or_filled(folder, extra):
    def other(audio, rate):
        return audio[:extra] if extra < 0 else np.pad(audio, (0, extra))

    got = evaluate([system("other", other)], find_pairs(folder)[:1], metrics=("si_sdr_db", "extra"))
    (row,) = [row for row in got.rows if row.extra_samples]
    noisy, clean, _ = row.pair.load()
    assert clean is not None
    from unhiss.score.metrics import si_sdr

    expected = np.concatenate([noisy[:-100], np.zeros(100, np.float32)]) if extra < 0 else noisy
    assert row.extra_samples == extra and row.scores == {"si_sdr_db": float(si_sdr(expected, clean)), "extra": extra}


def test_a_system_that_fails_on_clean_speech_alone_has_a_row_that_says_so(folder):
    quiet = find_pairs(folder)[0].load()[1]
    assert quiet is not None

    def picky(audio, rate):
        if np.array_equal(audio, quiet):
            raise ValueError("too clean")
        return audio

    (row,) = evaluate([system("picky", picky)], find_pairs(folder)[:1], metrics=CHEAP).of("picky")
    assert not row.failure and math.isnan(row.scores["clean_si_sdr_db"]) and row.scores["lag"] == 0
    assert row.undefined == ("fails on the clean speech or the noise alone: ValueError: too clean",)


def test_a_system_cannot_modify_the_input_of_the_next_one(folder):
    def zero(audio, rate):
        audio *= 0
        return audio

    inputs: list[np.ndarray] = []

    def recording(audio, rate):
        inputs.append(audio.copy())
        return audio

    evaluate([system("zeroing", zero), system("recording", recording)], find_pairs(folder)[:1], metrics=("lag",))
    np.testing.assert_array_equal(inputs[0], find_pairs(folder)[0].load()[0])


def test_recordings_without_a_reference_are_scored_with_metrics_that_need_none(folder):
    items = find_recordings([folder / "noisy"])
    assert [item.id for item in items] == ["a.wav", "b.wav", "c.wav"]
    names = select_metrics("all", clean=False, text=False, recogniser=False)
    assert names == ("sig", "bak", "ovrl", "p808", "lag", "extra")
    (row, halved) = evaluate([system("halve", halve)], items[:1], metrics=names).rows
    assert not row.failure and 1 < row.scores["ovrl"] < 5 and halved.scores["lag"] == 0


def test_a_pair_without_speech_is_listed_and_not_a_failure(folder):
    from unhiss.media.writer import write

    write(folder / "clean" / "b.wav", np.zeros(73_600, np.float32), 16_000)
    got = evaluate([], find_pairs(folder)[:1])
    assert not got.failures
    assert math.isnan(got.rows[0].scores["pesq_wb"]) and got.rows[0].scores["ovrl"] > 0
    assert any("PESQ-WB" in line for line in got.rows[0].undefined)


def test_words_are_counted_where_the_manifest_has_them(folder):
    from unhiss.score.recognition import Recogniser

    lines = (folder / "manifest.csv").read_text().splitlines()
    texts = ["text", "one two", "", "one two three"]
    (folder / "manifest.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, texts, strict=True)))
    fixed = Recogniser(load=lambda: lambda audio, rate: "One, three!", identity="fixed")
    rows = evaluate([], find_pairs(folder), metrics=("wer",), recogniser=fixed).rows
    assert [row.scores["wer"] for row in rows] == pytest.approx([50, math.nan, 100 / 3], nan_ok=True)


def count(calls, identity="one"):
    def counted(audio, rate):
        calls.append(1)
        return audio

    return system("counted", counted, identity)


def test_a_repeated_run_scores_only_the_missing_rows(folder, tmp_path):
    calls: list = []
    names = ("si_sdr_db", "lag")

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([count(calls)], find_pairs(folder), metrics=names, folder=tmp_path, progress=stop)
    kept = (tmp_path / CACHE).read_text()
    (tmp_path / CACHE).write_text(kept[:-20])  # the last line is torn, as a crash leaves it
    before = len(calls)
    again = evaluate([count(calls)], find_pairs(folder), metrics=names, folder=tmp_path)
    assert len(calls) - before == 3 - (before - 1)
    total = len(calls)
    assert str(evaluate([count(calls)], find_pairs(folder), metrics=names, folder=tmp_path).rows) == str(again.rows)
    assert len(calls) == total
    fresh = evaluate([count([])], find_pairs(folder), metrics=names)
    assert [row.scores for row in fresh.rows] == [row.scores for row in again.rows]


def test_changed_recordings_systems_or_metrics_are_scored_again_and_so_are_failures(folder, tmp_path):
    calls: list = []

    def run(names=("lag",), counted=None):
        return evaluate([counted or count(calls)], find_pairs(folder), metrics=names, folder=tmp_path)

    run()
    assert len(calls) == 3
    (folder / "noisy" / "a.wav").write_bytes((folder / "noisy" / "b.wav").read_bytes())
    run()
    assert len(calls) == 4  # another recording
    run(("lag", "extra"))
    assert len(calls) == 7  # other metrics
    run(counted=count(calls, "another version"))
    assert len(calls) == 10  # another system of the same name
    broken = system("counted", crash, "third")
    assert len(run(counted=broken).failures) == len(run(counted=broken).failures) == 3
    assert all("third" not in line and json.loads(line) for line in (tmp_path / CACHE).read_text().splitlines())


def test_progress_counts_every_row(folder):
    calls = []
    progress = lambda done, total: calls.append((done, total))  # noqa: E731
    evaluate([system("halve", halve)], find_pairs(folder), metrics=("lag",), progress=progress)
    assert calls == [(done, 6) for done in range(7)]


@pytest.mark.parametrize("names", [[NOISY], ["one", "one"]])
def test_two_rows_of_one_name_are_refused(folder, names):
    with pytest.raises(ConfigError, match="rename one"):
        evaluate([system(name, halve) for name in names], find_pairs(folder))


def test_a_missing_metric_package_is_reported_before_any_work(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(MissingExtra, match=r"this needs pesq.*pip install 'unhiss\[eval\]'"):
        evaluate([system("halve", lambda audio, rate: pytest.fail("ran"))], find_pairs(folder))


@pytest.mark.parametrize(
    ("selection", "available", "expected"),
    [
        ("default", {}, DEFAULT),
        ("lag, stoi", {}, ("stoi", "lag")),
        ("default,p808", {"clean": False}, ("sig", "bak", "ovrl", "p808")),
        ("all", {"text": True, "recogniser": True}, tuple(METRICS)),
        ("lag", {"text": True, "recogniser": True}, ("lag", "wer")),
    ],
)
def test_metrics_are_chosen_by_name_in_the_order_of_the_tables(selection, available, expected):
    assert select_metrics(selection, **{"clean": True, "text": False, "recogniser": False, **available}) == expected


@pytest.mark.parametrize(
    ("selection", "message"),
    [("stois", "did you mean 'stoi'"), ("stoi", "needs the clean recordings"), ("wer", "needs --recogniser")],
)
def test_metrics_that_cannot_be_computed_are_refused(selection, message):
    with pytest.raises(ConfigError, match=message):
        select_metrics(selection, clean=False, text=False, recogniser=False)


def test_costs_are_processor_time_for_16_ms_of_sound(monkeypatch):
    clock = iter([10.0, 10.25])
    monkeypatch.setattr(scorer, "_processor_s", lambda: next(clock))
    assert scorer.run_system(halve, np.ones((2, 8000)), 16_000)[2] == pytest.approx(0.25e6 * 0.016 / 0.5)


@pytest.mark.filterwarnings("ignore")  # those of speechmos and librosa
def test_real_pairs_score_as_the_packages_do_when_called_directly(real_pairs):
    import pesq
    import pystoi
    import soxr
    from speechmos import dnsmos

    rows = evaluate([], find_pairs(real_pairs)[:2]).rows
    assert len(rows) == 2
    for row in rows:
        noisy, clean, rate = row.pair.load()
        x, s = (soxr.resample(audio, rate, 16_000) for audio in (noisy, clean))
        mos = dnsmos.run(np.clip(x, -1, 1), 16_000)
        target = np.dot(x - x.mean(), s - s.mean()) / np.sum((s - s.mean()) ** 2) * (s - s.mean())
        expected = {
            "pesq_wb": pesq.pesq(16_000, s, x, "wb"),
            "stoi": pystoi.stoi(s, x, 16_000),
            "estoi": pystoi.stoi(s, x, 16_000, extended=True),
            "si_sdr_db": 10 * np.log10(np.sum(target**2) / np.sum((x - x.mean() - target) ** 2)),
            **{name: mos[f"{name}_mos"] for name in ("sig", "bak", "ovrl")},
        }
        # The oracle's SI-SDR sums in float32, good to 1e-4 dB.
        si_sdr_db = expected.pop("si_sdr_db")
        assert row.scores["si_sdr_db"] == pytest.approx(si_sdr_db, abs=1e-3)
        assert {name: row.scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
