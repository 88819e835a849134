"""`unhiss evaluate`: its output, files and exit codes."""

import csv
import hashlib
import json

import numpy as np
import pytest

from unhiss.media.writer import write


@pytest.fixture
def folder(tmp_path, rng):
    clean = (0.1 * rng.standard_normal(73_600)).astype(np.float32)
    for side, gain in (("clean", 0.0), ("noisy", 0.05)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for name in ("x", "y"):
            noise = (gain * rng.standard_normal(73_600)).astype(np.float32)
            write(tmp_path / "pairs" / side / f"{name}.wav", clean + noise, 16_000)
    return tmp_path / "pairs"


def test_without_a_model_the_noisy_input_is_scored_printed_and_written(run, folder, tmp_path):
    done = run("evaluate", "--pairs", folder, "-o", tmp_path / "out", "-j", 1)
    assert (done.returncode, done.stderr.decode()) == (0, f"report: {tmp_path / 'out' / 'report.html'}\n")
    assert done.stdout.decode().startswith("| system | pairs | PESQ-WB | STOI | ESTOI | SI-SDR dB | SIG | BAK | OVRL |")
    assert "| noisy input | 2 |" in done.stdout.decode()
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())["summary"]
    assert summary[0]["all"]["si_sdr_db"]["n"] == 2
    with (tmp_path / "out" / "scores.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["x", "y"]

    again = run("evaluate", "--pairs", folder, "-o", tmp_path / "out")
    assert again.returncode == 1 and b"exists; --force overwrites it" in again.stderr and again.stderr.count(b"\n") == 1


def test_a_broken_pair_is_listed_the_rest_scored_and_the_exit_code_is_1(run, folder):
    (folder / "noisy" / "x.wav").write_bytes(b"broken")
    done = run("evaluate", "--pairs", folder, "-j", 1)
    assert done.returncode == 1
    assert "| noisy input | 1 |" in done.stdout.decode()
    assert "Not scored:\n\n- x: " in done.stdout.decode()


def test_a_folder_that_holds_no_pairs_is_one_line_and_exit_code_1(run, tmp_path):
    done = run("evaluate", "--pairs", tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"unhiss: ") and b"has no clean/ and no noisy/" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_models_functions_and_programs_are_compared_in_the_given_order(run, folder, tmp_path, causal_model):
    (tmp_path / "own_system.py").write_text("def half(audio, rate):\n    return audio / 2\n")
    model = causal_model("gain", 0.5)
    done = run(
        "evaluate", "--system", "cp=cmd:cp {in} {out}", "--model", model, "--system", "half=python:own_system:half",
        "--pairs", folder, "-j", 2, "--metrics", "si_sdr_db,noise_down_db", "-o", tmp_path / "out", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    noisy, copied, modelled, halved = content["summary"]
    assert [noisy["system"], copied["system"], halved["system"]] == ["noisy input", "cp", "half"]
    assert halved["all"]["noise_down_db"]["mean"] == pytest.approx(6.02, abs=0.01)
    assert copied["all"]["noise_down_db"]["mean"] == pytest.approx(0, abs=0.01)
    assert all(one["cost_us_per_16_ms"] > 0 for one in (copied, modelled, halved))
    assert content["differences"][0]["to"] == "cp"
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<audio") == 2 * 5  # two recordings: noisy, clean and three systems


def test_noisy_recordings_are_scored_with_metrics_that_need_no_reference(run, folder):
    done = run("evaluate", "--noisy", folder / "noisy" / "x.wav", "--metrics", "default,lag")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith("| system | pairs | SIG | BAK | OVRL | lag samples |")
    both = run("evaluate", "--noisy", folder, "--pairs", folder)
    assert both.returncode == 2 and b"one of the two" in both.stderr


def test_a_recogniser_without_reference_texts_is_refused(run, folder, tmp_path):
    (tmp_path / "own_recogniser.py").write_text("def recognise(audio, rate):\n    return 'yes'\n")
    words = ("evaluate", "--pairs", folder, "--recogniser", "python:own_recogniser:recognise")
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2 and b"column `text`" in done.stderr


def test_a_model_file_is_named_by_its_card_and_loaded_only_without_a_card_of_this_file(causal_model, monkeypatch):
    from unhiss.cli import evaluate

    path = causal_model("gain", 0.5)
    (named,) = evaluate._systems((str(path),))
    card = {
        "name": "carded", "summary": "", "sample_rate": 0, "causal": True, "latency_ms": 32, "parameters": 1,
        "mmac_per_s": 1, "licence": "MIT", "commercial_use": True, "data": "",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip
    card_path = path.with_suffix(".json")
    card_path.write_text(json.dumps(card | {"sha256": "0" * 64}))
    assert evaluate._systems((str(path),))[0].name == named.name != "carded"
    card_path.write_text(json.dumps(card))
    monkeypatch.setattr(evaluate, "_load_model", lambda spec: pytest.fail("opened"))
    assert evaluate._systems((str(path),))[0].name == "carded"
