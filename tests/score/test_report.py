"""Systems over pairs: every row there, in a fixed order, and no failure that stops the rest."""

import math

import numpy as np
import pytest

from hush.errors import ConfigError, MissingExtra
from hush.score import report
from hush.score.metrics import METRICS
from hush.score.pairs import pairs
from hush.score.report import NOISY, evaluate


def halve(audio, rate):
    return 0.5 * audio


@pytest.fixture
def quick(monkeypatch):
    """Scoring replaced by one that costs nothing, for tests of what surrounds it."""

    def measure(estimate, reference, rate):
        return dict.fromkeys(METRICS, float(np.mean(np.abs(estimate)))), []

    monkeypatch.setattr(report, "measure", measure)


def test_rows_are_by_system_with_the_noisy_input_first_and_then_by_pair(folder, quick):
    got = evaluate({"zeta": halve, "alpha": halve}, pairs(folder))
    assert got.systems == (NOISY, "zeta", "alpha")
    assert [(row.system, row.pair.id) for row in got.rows] == [
        (system, name) for system in (NOISY, "zeta", "alpha") for name in "bac"
    ]
    for noisy, halved in zip(got.rows[:3], got.rows[3:6], strict=True):
        assert halved.scores["sig"] == pytest.approx(noisy.scores["sig"] / 2)


def test_the_report_is_the_same_whatever_the_number_of_processes(folder):
    (folder / "clean" / "a.wav").unlink()
    one = evaluate({"halve": halve}, pairs(folder), jobs=1)
    two = evaluate({"halve": halve}, pairs(folder), jobs=2)
    assert [row.pair.id for row in two.failures] == ["a", "a"]
    assert [(row.system, row.pair.id, row.failure) for row in one.rows] == [
        (row.system, row.pair.id, row.failure) for row in two.rows
    ]
    for first, second in zip(one.rows, two.rows, strict=True):
        np.testing.assert_array_equal(list(first.scores.values()), list(second.scores.values()))


def test_a_broken_pair_fails_for_every_system_and_the_rest_goes_on(folder, quick):
    (folder / "noisy" / "a.wav").write_bytes(b"broken")
    got = evaluate({"halve": halve}, pairs(folder))
    assert [(row.system, row.pair.id) for row in got.failures] == [(NOISY, "a"), ("halve", "a")]
    assert all("not a readable recording" in row.failure for row in got.failures)
    assert all(math.isnan(value) for row in got.failures for value in row.scores.values())
    assert sum(not row.failure for row in got.rows) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_system_does_wrong_is_a_row_of_its_own(folder, jobs):
    def crash(audio, rate):
        raise ValueError("boom\nacross lines")

    systems = {
        "crash": crash,
        "short": lambda audio, rate: audio[:-1],
        "nan": lambda audio, rate: np.full_like(audio, np.nan),
        "text": lambda audio, rate: "not audio",
    }
    got = evaluate(systems, pairs(folder)[:1], jobs=jobs)
    failures = {row.system: row.failure for row in got.rows}
    assert failures[NOISY] == ""
    assert failures["crash"] == "ValueError: boom across lines"
    assert "(73599,)" in failures["short"] and "differ in shape" in failures["short"]
    assert "estimate holds NaN" in failures["nan"]
    assert failures["text"].startswith("ValueError")


def test_a_system_cannot_change_what_the_next_one_hears(folder, quick):
    def vandal(audio, rate):
        audio *= 0
        return audio

    heard = []
    listener = lambda audio, rate: heard.append(audio.copy()) or audio  # noqa: E731
    evaluate({"vandal": vandal, "listener": listener}, pairs(folder)[:1])
    np.testing.assert_array_equal(heard[0], pairs(folder)[0].load()[0])


def test_a_pair_without_speech_is_listed_and_not_a_failure(folder):
    from hush.dsp.writer import write

    write(folder / "clean" / "b.wav", np.zeros(73_600, np.float32), 16_000)
    got = evaluate({}, pairs(folder)[:1])
    assert not got.failures
    assert math.isnan(got.rows[0].scores["pesq_wb"]) and got.rows[0].scores["ovrl"] > 0
    assert any("PESQ-WB" in line for line in got.undefined[0].undefined)


def test_progress_counts_every_row(folder, quick):
    seen = []
    evaluate({"halve": halve}, pairs(folder), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


def test_the_name_of_the_first_row_is_taken(folder):
    with pytest.raises(ConfigError, match="rename it"):
        evaluate({NOISY: halve}, pairs(folder))


def test_a_missing_metric_package_is_said_before_any_work(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(MissingExtra, match=r"this needs pesq.*pip install 'hush\[eval\]'"):
        evaluate({"halve": lambda audio, rate: pytest.fail("ran")}, pairs(folder))


@pytest.mark.filterwarnings("ignore")  # those of speechmos and librosa
def test_noisy_dev_pairs_score_as_the_packages_do_when_called_directly(data):
    import pesq
    import pystoi
    import soxr
    from speechmos import dnsmos

    # Lengths of which DNSMOS scores few windows.
    chosen = [pair for pair in pairs(data / "dev") if 4.51 < float(pair.facts["seconds"]) < 5.4][:4]
    assert len(chosen) == 4
    for row in evaluate({}, chosen).rows:
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
