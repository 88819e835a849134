"""Progress bars: what one shows, that lines come above it, and that it is gone at the end."""

from __future__ import annotations

import io
import re
import sys
import time
import warnings

import pytest

from unhiss.cli.terminal import ProgressBar, echo

REDRAWN_S = 0.12  # a bar is drawn ten times a second at most


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stdout and stderr until the test ends. Not a fixture: pytest sets both anew when a test begins."""
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def drawn(terminal: Terminal) -> list[str]:
    """What stood on the line of the bar, one after the other."""
    return [line.strip() for line in re.split(r"[\r\n]+", terminal.getvalue()) if line.strip()]


def test_a_bar_shows_label_count_and_time_left_and_disappears(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with ProgressBar("mixing", 10, unit="pairs") as bar:
        time.sleep(REDRAWN_S)
        bar.update(4)
        assert re.fullmatch(r"mixing █+\S? * 4/10 pairs 00:\d\d", drawn(terminal)[-1])
        time.sleep(REDRAWN_S)
        bar.update(9, total=20, label="stirring")
        assert re.fullmatch(r"stirring █+\S? * 9/20 pairs 00:\d\d", drawn(terminal)[-1])
    assert re.search(r"\r +\r$", terminal.getvalue())


def test_a_bar_without_a_unit_shows_per_cent_and_one_without_a_total_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with ProgressBar("a.wav", 1.0) as bar:
        time.sleep(REDRAWN_S)
        bar.update(0.25)
        assert re.fullmatch(r"a\.wav █+\S? * 25 % 00:\d\d", drawn(terminal)[-1])
    with ProgressBar("listing s3://bucket"):
        assert drawn(terminal)[-1] == "listing s3://bucket 00:00"


def test_the_time_left_of_a_resumed_run_counts_what_is_new_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with ProgressBar("training", 1_000_000, unit="examples", done=999_000) as bar:
        time.sleep(REDRAWN_S)
        bar.update(999_001)  # 0.12 s for one of a thousand left, not of a million done
        minutes = int(drawn(terminal)[-1].rsplit(" ", 1)[1].split(":")[0])
        assert minutes >= 1


def test_lines_come_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with ProgressBar("mixing", 10, unit="pairs"):
        echo("first \udcff")
        echo("second", err=True)
        assert [line.split(" ")[0] for line in drawn(terminal)] == ["mixing", "first", "mixing", "second", "mixing"]
        assert "first \N{REPLACEMENT CHARACTER}\n" in terminal.getvalue()
    echo("third")
    assert terminal.getvalue().endswith("third\n")


@pytest.mark.parametrize("term", ["dumb", None])
def test_without_a_terminal_there_is_no_bar(term: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    if term:
        monkeypatch.setenv("TERM", term)
    else:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    with ProgressBar("mixing", 10, unit="pairs") as bar:
        bar.update(5)
        echo("a line")
    assert terminal.getvalue() == "a line\n"


def test_a_warning_of_python_comes_above_the_bar_and_then_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", print_warning := lambda *_: terminal.write("as ever\n"))
        with ProgressBar("mixing", 10, unit="pairs"), ProgressBar("a.wav", 1.0):
            warnings.warn("12 samples were clipped", UserWarning, stacklevel=1)
        lines = [line for line in terminal.getvalue().split("\n") if "UserWarning: 12 samples" in line]
        assert len(lines) == 1
        shown = lines[0].split("\r")[-1]
        assert re.fullmatch(r"\S+test_terminal\.py:\d+: UserWarning: 12 samples were clipped", shown)
        assert warnings.showwarning is print_warning
        warnings.warn("another", UserWarning, stacklevel=1)
        assert terminal.getvalue().endswith("as ever\n")
