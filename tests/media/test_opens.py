"""How often one recording is opened while it is denoised."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import unhiss
from unhiss.media.source import open_source

opened: list[str] = []  # paths, as long as a test collects them
collecting = False


def collect(event: str, arguments: tuple[object, ...]) -> None:
    if collecting and event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode())


sys.addaudithook(collect)  # it stays for the life of the process, so it is added once


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files opened in the test, by Python (seen by an audit hook) or by libsndfile (in C)."""
    create = sf.SoundFile._open

    def counted(self: sf.SoundFile, file: object, *rest: object) -> object:
        if isinstance(file, (str, bytes)):
            opened.append(file if isinstance(file, str) else file.decode())
        return create(self, file, *rest)

    monkeypatch.setattr(sf.SoundFile, "_open", counted)
    monkeypatch.setattr(sys.modules[__name__], "collecting", True)
    opened.clear()
    return opened


@pytest.mark.parametrize(("extension", "most"), [("wav", 3), ("flac", 3), ("ogg", 3), ("mp3", 3)])
def test_a_recording_is_opened_at_most_three_times(
    extension: str, most: int, tmp_path: Path, causal_model, opens: list[str]
) -> None:
    """To recognise it, to decode it, and to copy its tags; the issue allows 3 for a WAV and 5 for an MP3."""
    source, model = tmp_path / f"a.{extension}", causal_model()
    sf.write(source, np.random.default_rng(0).uniform(-0.1, 0.1, 20_000), 16000)
    opens.clear()
    unhiss.denoise_file(source, tmp_path / f"b.{extension}", model=model)
    assert 1 < opens.count(str(source)) <= most


def test_each_further_pass_opens_it_once(tmp_path: Path, opens: list[str]) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(1000), 16000)
    opens.clear()
    source = open_source(tmp_path / "a.wav")
    assert len(opens) == 2
    for _ in range(3):
        assert sum(block.shape[1] for block in source.blocks(300)) == 1000
    assert len(opens) == 4
