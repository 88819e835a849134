"""Means, intervals, Markdown, JSON and CSV of a hand-made report."""

import csv
import io
import json
import math
from itertools import pairwise

import numpy as np
import pytest

from unhiss.errors import DataError
from unhiss.score import statistics, tables
from unhiss.score.pairs import Pair
from unhiss.score.registry import DEFAULT
from unhiss.score.report import NOISY, Report
from unhiss.score.scorer import ScoreRow

NAN = float("nan")


def row(system, name, value, kind="drill", snr_db="5", **others):
    metadata = {"noise_kind": kind, "snr_db": snr_db}
    pair = Pair(id=name, clean=(), noisy=(), metadata={key: text for key, text in metadata.items() if text})
    return ScoreRow(system=system, pair=pair, scores=dict.fromkeys(DEFAULT, value), **others)


@pytest.fixture
def report():
    return Report(
        (NOISY, "a|b"),
        (
            row(NOISY, "1", 1.0, snr_db="10"),
            row(NOISY, "2", 2.0),
            row(NOISY, "3", 3.0, "siren", snr_db="10"),
            row(NOISY, "4", NAN, "siren", failure="no clean file"),
            row("a|b", "1", 2.0, snr_db="10"),
            row("a|b", "2", NAN, undefined=("PESQ-WB has no value: why",)),
            row("a|b", "3", 4.0, "siren", snr_db="10"),
            row("a|b", "4", NAN, "siren", failure="no clean file"),
        ),
    )


@pytest.mark.parametrize("n", [2, 5, 37])
def test_the_interval_is_the_percentile_bootstrap_of_scipy(rng, n):
    from scipy.stats import bootstrap

    values = rng.standard_normal(n) ** 2
    got = statistics.bootstrap_mean([*values, NAN, math.inf])
    expected = bootstrap(
        (values,), np.mean, n_resamples=statistics.RESAMPLES, method="percentile",
        rng=np.random.default_rng(statistics.SEED),
    ).confidence_interval  # fmt: skip
    assert got.n == n and got.mean == pytest.approx(values.mean())
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_value_has_no_mean_and_one_value_no_interval():
    assert statistics.bootstrap_mean([NAN]).n == 0 and math.isnan(statistics.bootstrap_mean([]).mean)
    assert statistics.bootstrap_mean([2.0]).mean == 2.0 and math.isnan(statistics.bootstrap_mean([2.0]).half_width)


def test_differences_are_paired_and_skip_recordings_without_both_values(report):
    report = Report((*report.systems, "c"), (*report.rows, *(row("c", str(i), 5.0 * i, "siren") for i in (1, 2, 3, 4))))
    assert statistics.baseline(report) == "a|b"
    mean = statistics.paired_difference(report.of("c"), report.of("a|b"), "stoi")  # 5 - 2 and 15 - 4
    assert (mean.mean, mean.low, mean.high, mean.n) == (7.0, 3.0, 11.0, 2)
    noisy, other = statistics.differences(report)
    assert (noisy["system"], noisy["to"], other["system"]) == (NOISY, "a|b", "c")
    assert noisy["all"]["stoi"]["mean"] == -1.0 and other["noise_kind"]["siren"]["stoi"]["mean"] == 11.0
    assert "Difference to a|b" in tables.to_markdown(report) and "| c | +7.00 ±4.00 |" in tables.to_markdown(report)


def test_a_difference_that_rounds_to_nothing_has_no_minus_sign():
    rows = [row(name, "1", value) for name, value in ((NOISY, 1.0), ("a", 2.0), ("b", 2.0 - 1e-9))]
    assert "| b | +0.00 |" in tables.to_markdown(Report((NOISY, "a", "b"), tuple(rows)))


def test_the_interval_of_a_constant_shift_has_no_width_whatever_the_spread_of_recordings(rng):
    values = 10 * rng.standard_normal(20)
    rows = [row("a", str(i), value) for i, value in enumerate(values)]
    moved = [row("b", str(i), value + 0.5) for i, value in enumerate(values)]
    mean = statistics.paired_difference(moved, rows, "stoi")
    assert (mean.mean, mean.low, mean.high) == pytest.approx((0.5, 0.5, 0.5))


def test_markdown_holds_the_table_the_groups_in_number_order_and_the_listings(report):
    text = tables.to_markdown(report)
    # Of the 27 equal draws of 1, 2, 3 one is all ones and one all threes, 3.7 % each: both ends are reached.
    assert "| noisy input | 3 | 2.00 ±1.00 | 2.000 ±1.000 |" in text
    assert "| a\\|b | 3 | 3.00 ±1.00 |" in text
    positions = [text.index(f"\n| {value} | noisy input |") for value in ("5", "10", "drill", "siren")]
    assert positions == sorted(positions)
    assert "| 5 | a\\|b | 1 | – | – |" in text
    assert "Not scored:\n\n- 4: no clean file\n" in text
    assert "left out of that mean:\n\n- 2, a|b: PESQ-WB has no value: why\n" in text


def test_every_line_of_a_markdown_table_has_the_same_number_of_cells(report):
    for block in tables.to_markdown(report).split("\n\n"):
        lines = block.replace("\\|", "").splitlines()
        if lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1


def test_groups_that_no_manifest_names_are_left_out(report):
    bare = Report((NOISY,), (row(NOISY, "1", 1.0, kind="", snr_db=""),))
    assert "By" not in tables.to_markdown(bare)
    assert not {*statistics.GROUPS} & set(statistics.summary(bare)[0])


def report_at(*snrs_db: float, kinds: str = "") -> Report:
    """A recording for each SNR, of the kind of noise of the same number, with a value equal to its SNR."""
    names = kinds or "k" * len(snrs_db)
    rows = (row(NOISY, str(i), s, kind, f"{s:g}") for i, (s, kind) in enumerate(zip(snrs_db, names, strict=True)))
    return Report((NOISY,), tuple(rows))


def sizes(groups: dict[str, list[ScoreRow]]) -> dict[str, int]:
    return {value: len(rows) for value, rows in groups.items()}


@pytest.mark.parametrize(
    ("snrs_db", "expected"),
    [
        ([5.0] * 2 + [-5.0] * 3 + [10.0] * 2, {"-5": 3, "5": 2, "10": 2}),  # levels that were chosen stay as they are
        ([3.1, 4.7, 6.2, 9.9, 12.3], {"5 to 10": 5}),
        ([-5.0, -2.51, -2.49, 0.0, 2.49, 2.5, 7.49, 7.5, 11.0, 12.49, 12.5, 17.0, 19.99],
         {"-5 to 0": 5, "5 to 10": 5, "15 to 20": 3}),
        ([-5.0] * 4 + [0.0] * 4 + [1.3] + [40.0], {"-5": 4, "0 to 40": 6}),  # uneven: one alone says nothing
        ([7.0], {"5": 1}),
        (np.arange(-5, 20, 0.1).tolist(), {"-5": 25, "0": 50, "5": 50, "10": 50, "15": 50, "20": 25}),
    ],
)  # fmt: skip
def test_snrs_are_grouped_so_that_no_group_of_several_has_one_recording(
    snrs_db: list[float], expected: dict[str, int]
) -> None:
    groups = statistics.group_rows(report_at(*snrs_db), "snr_db")
    assert sizes(groups) == expected
    values = [row.scores["stoi"] for rows in groups.values() for row in rows]
    assert sorted(values) == sorted(snrs_db)  # each recording once
    ends = [(min(values), max(values)) for values in ([row.scores["stoi"] for row in g] for g in groups.values())]
    assert all(high < low for (_, high), (low, _) in pairwise(ends))


def test_few_pairs_make_no_table_of_groups_of_one() -> None:
    few = report_at(3.1, 4.7, 6.2, 9.9, 12.3, kinds="abcde")
    assert "By" not in tables.to_markdown(few)
    mixed = report_at(*[5.0] * 7, kinds="aabbcde")
    assert sizes(statistics.shown_groups(mixed, "noise_kind")) == {"a": 2, "b": 2, "3 others": 3}
    assert "By SNR" not in tables.to_markdown(mixed)  # of one group the means are those of all
    assert "| 3 others | noisy input | 3 |" in tables.to_markdown(mixed)


def test_json_is_strict_and_holds_summary_settings_versions_and_problems(report):
    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    content = json.loads(tables.to_json(report, {"pairs": "here"}), parse_constant=refuse)
    first, second = content["summary"]
    assert first["system"] == NOISY and first["all"]["pairs"] == 3
    assert first["all"]["pesq_wb"] == {
        "mean": 2.0, "half_95": 1.0, "low_95": 1.0, "high_95": 3.0, "n": 3
    }  # fmt: skip
    assert second["snr_db"]["5"]["stoi"] == {
        "mean": None, "half_95": None, "low_95": None, "high_95": None, "n": 0
    }  # fmt: skip
    assert list(first["snr_db"]) == ["5", "10"] and set(first["noise_kind"]) == {"drill", "siren"}
    assert content["settings"]["pairs"] == "here" and content["settings"]["rate_hz"] == 16_000
    assert all(content["versions"][name] for name in ("pesq", "pystoi", "speechmos", "onnxruntime"))
    assert [(entry["system"], entry["pair"]) for entry in content["failures"]] == [(NOISY, "4"), ("a|b", "4")]
    assert content["undefined"] == [{"system": "a|b", "pair": "2", "reason": "PESQ-WB has no value: why"}]


def test_csv_has_one_row_for_each_system_and_pair(report):
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(report))))
    assert [(entry["system"], entry["id"]) for entry in rows] == [
        (system, name) for system in (NOISY, "a|b") for name in "1234"
    ]
    assert list(rows[0]) == ["system", "id", "snr_db", "noise_kind", "language", *DEFAULT, "cost_us", "problem"]
    assert float(rows[2]["estoi"]) == 3.0 and rows[2]["noise_kind"] == "siren" and rows[1]["snr_db"] == "5"
    assert math.isnan(float(rows[3]["ovrl"])) and rows[3]["problem"] == "no clean file"


def test_an_earlier_report_is_kept_unless_forced_and_nothing_else_is_left(report, tmp_path):
    folder = tables.prepare_folder(tmp_path / "deep" / "out", force=False)
    tables.write_report(report, folder, {}, "page")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.md", "scores.csv", "scores.json"]
    with pytest.raises(DataError, match=r"scores\.json exists; force=True"):
        tables.prepare_folder(folder, force=False)
    tables.write_report(report, tables.prepare_folder(folder, force=True), {}, "page")
