"""Means, intervals, Markdown, JSON and CSV of a report made by hand."""

import csv
import io
import json
import math

import numpy as np
import pytest

from hush.errors import DataError
from hush.score import tables
from hush.score.metrics import METRICS
from hush.score.pairs import Pair
from hush.score.report import NOISY, Report, Row

NAN = float("nan")


def row(system, name, value, kind="drill", snr_db="5", **others):
    facts = {"noise_kind": kind, "snr_db": snr_db}
    pair = Pair(id=name, clean=(), noisy=(), facts={key: text for key, text in facts.items() if text})
    return Row(system=system, pair=pair, scores=dict.fromkeys(METRICS, value), **others)


@pytest.fixture
def report():
    return Report(
        (NOISY, "a|b"),
        (
            row(NOISY, "1", 1.0, snr_db="10"),
            row(NOISY, "2", 2.0, snr_db="-5"),
            row(NOISY, "3", 3.0, "siren"),
            row(NOISY, "4", NAN, "siren", failure="no clean file"),
            row("a|b", "1", 2.0, snr_db="10"),
            row("a|b", "2", NAN, snr_db="-5", undefined=("PESQ-WB has no value: why",)),
            row("a|b", "3", 4.0, "siren"),
            row("a|b", "4", NAN, "siren", failure="no clean file"),
        ),
    )


def test_the_interval_is_196_standard_errors_of_the_finite_values(rng):
    values = rng.standard_normal(37)
    got = tables.average([*values, NAN, math.inf])
    assert got.n == 37
    assert got.mean == pytest.approx(values.mean())
    assert got.half == pytest.approx(1.96 * np.std(values, ddof=1) / np.sqrt(37))


def test_no_value_has_no_mean_and_one_value_no_interval():
    assert tables.average([NAN]).n == 0 and math.isnan(tables.average([]).mean)
    assert tables.average([2.0]).mean == 2.0 and math.isnan(tables.average([2.0]).half)


def test_markdown_holds_the_table_the_groups_in_number_order_and_the_listings(report):
    text = tables.markdown(report)
    # sd of 1, 2, 3 is 1: 1.96 / sqrt(3) = 1.13; sd of 2, 4 is sqrt 2: 1.96.
    assert "| noisy input | 3 | 2.00 ±1.13 | 2.000 ±1.132 |" in text
    assert "| a\\|b | 3 | 3.00 ±1.96 |" in text
    places = [text.index(f"\n| {value} | noisy input |") for value in ("-5", "5", "10", "drill", "siren")]
    assert places == sorted(places)
    assert "| -5 | a\\|b | 1 | – | – |" in text
    assert "Not scored:\n\n- 4: no clean file\n" in text
    assert "left out of that mean:\n\n- 2, a|b: PESQ-WB has no value: why\n" in text


def test_every_line_of_a_markdown_table_has_the_same_number_of_cells(report):
    for block in tables.markdown(report).split("\n\n"):
        lines = block.replace("\\|", "").splitlines()
        if lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1


def test_groups_that_no_manifest_names_are_left_out(report):
    bare = Report((NOISY,), (row(NOISY, "1", 1.0, kind="", snr_db=""),))
    assert "By" not in tables.markdown(bare)
    assert set(tables.summary(bare)[0]) == {"system", "all"}


def test_snrs_drawn_from_a_range_are_grouped_by_the_nearest_five_db():
    snrs = [-5.0, -2.51, -2.49, 0.0, 2.49, 2.5, 7.49, 7.5, 11.0, 12.49, 12.5, 17.0, 19.99]
    many = Report((NOISY,), tuple(row(NOISY, str(i), 1.0, snr_db=f"{snr_db:g}") for i, snr_db in enumerate(snrs)))
    counts = {value: len(rows) for value, rows in tables.grouped(many, "snr_db").items()}
    assert counts == {"-5": 2, "0": 3, "5": 2, "10": 3, "15": 2, "20": 1}
    assert len(tables.grouped(Report((NOISY,), many.rows[:12]), "snr_db")) == 12


def test_json_is_strict_and_holds_summary_settings_versions_and_problems(report):
    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    content = json.loads(tables.to_json(report, {"pairs": "here"}), parse_constant=refuse)
    first, second = content["summary"]
    assert first["system"] == NOISY and first["all"]["pairs"] == 3
    assert first["all"]["pesq_wb"] == {"mean": 2.0, "half_95": 1.131607, "n": 3}
    assert second["snr_db"]["-5"]["stoi"] == {"mean": None, "half_95": None, "n": 0}
    assert list(first["snr_db"]) == ["-5", "5", "10"] and set(first["noise_kind"]) == {"drill", "siren"}
    assert content["settings"]["pairs"] == "here" and content["settings"]["rate_hz"] == 16_000
    assert all(content["versions"][name] for name in ("pesq", "pystoi", "speechmos", "onnxruntime"))
    assert [(entry["system"], entry["pair"]) for entry in content["failures"]] == [(NOISY, "4"), ("a|b", "4")]
    assert content["undefined"] == [{"system": "a|b", "pair": "2", "reason": "PESQ-WB has no value: why"}]


def test_csv_has_one_row_for_each_system_and_pair(report):
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(report))))
    assert [(entry["system"], entry["id"]) for entry in rows] == [
        (system, name) for system in (NOISY, "a|b") for name in "1234"
    ]
    assert list(rows[0]) == ["system", "id", "snr_db", "noise_kind", *METRICS, "problem"]
    assert float(rows[2]["estoi"]) == 3.0 and rows[2]["noise_kind"] == "siren" and rows[1]["snr_db"] == "-5"
    assert math.isnan(float(rows[3]["ovrl"])) and rows[3]["problem"] == "no clean file"


def test_an_earlier_report_is_kept_unless_forced_and_nothing_else_is_left(report, tmp_path):
    folder = tables.folder_for(tmp_path / "deep" / "out", force=False)
    tables.save(report, folder, {})
    assert sorted(path.name for path in folder.iterdir()) == ["scores.csv", "scores.json"]
    with pytest.raises(DataError, match=r"scores\.json exists; give --force"):
        tables.folder_for(folder, force=False)
    tables.save(report, tables.folder_for(folder, force=True), {})
