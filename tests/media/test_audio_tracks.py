"""Choosing one of several audio tracks, and what becomes of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner
from media_files import RATE, add_audio, add_pictures, tone

import unhiss
from unhiss.cli.denoise import command
from unhiss.errors import AudioError, ConfigError
from unhiss.media.source import open_source, read

OFF: dict[str, Any] = {"model": "nano", "mix": 0.0}  # the output is the input
TRACKS = [("aac", "eng", "Camera"), ("ac3", "fra", "Microphone"), ("flac", "und", "")]


def talk(path: Path, codecs: tuple[str, ...] = ("aac", "ac3", "flac"), pictures: bool = True) -> Path:
    """A video whose k-th audio track is a tone of 400 k Hz."""
    with av.open(str(path), "w") as out:
        shown = out.add_stream("mpeg4", rate=30, width=64, height=48, pix_fmt="yuv420p") if pictures else None
        tracks: list[Any] = [out.add_stream(codec, rate=RATE, layout="mono") for codec in codecs]
        for track, (_, language, title) in zip(tracks, TRACKS, strict=False):
            track.metadata.update({"language": language, "title": title})
        for number, track in enumerate(tracks, 1):
            add_audio(out, track, 400.0 * number, 1.5)
        if shown is not None:
            add_pictures(out, shown)
    return path


def pitch_hz(path: Path, number: int) -> float:
    """The loudest frequency of an audio track, decoded by FFmpeg."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=number - 1))
    sound = np.concatenate([frame.to_ndarray()[0].astype(float) for frame in frames])[10000:58000]
    return float(np.argmax(np.abs(np.fft.rfft(sound * np.hanning(sound.size)))) * RATE / sound.size)


def packets(path: Path, number: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=number - 1) if packet.size]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_track_is_read_by_its_number(number: int, tmp_path: Path) -> None:
    sound, rate = read(talk(tmp_path / "a.mkv"), track=number)
    spectrum = np.abs(np.fft.rfft(sound[10000:58000]))
    assert np.argmax(spectrum) * rate / 48000 == 400 * number


def test_the_chosen_track_is_replaced_and_the_others_are_copied(tmp_path: Path) -> None:
    source = talk(tmp_path / "a.mkv")
    report = unhiss.denoise_file(source, tmp_path / "b.mkv", track=2, residual=tmp_path / "c.wav", **OFF)
    assert not report.warnings
    for number in (1, 3):
        assert packets(tmp_path / "b.mkv", number) == packets(source, number)
    assert packets(tmp_path / "b.mkv", 2) != packets(source, 2)
    assert pitch_hz(tmp_path / "b.mkv", 2) == 800
    with av.open(str(tmp_path / "b.mkv")) as made:
        assert [(track.language, track.metadata.get("title")) for track in made.streams.audio[:2]] == [
            ("eng", "Camera"), ("fra", "Microphone"),
        ]  # fmt: skip
    # Input minus output of the same track: what the second encoding changes, and no tone.
    assert np.abs(sf.read(tmp_path / "c.wav")[0][5000:60000]).max() < 0.05


def test_a_format_of_one_track_gets_the_chosen_one_and_the_report_names_the_others(tmp_path: Path) -> None:
    source = talk(tmp_path / "a.mkv")
    report = unhiss.denoise_file(source, tmp_path / "mic.wav", track=2, **OFF)
    assert pitch_hz(tmp_path / "mic.wav", 1) == 800
    assert report.warnings == (
        "not kept: audio track 1: aac, 1 channel, eng, Camera, which .wav cannot hold",
        "not kept: audio track 3: flac, 1 channel, which .wav cannot hold",
    )


def test_without_a_choice_the_report_says_which_track_was_taken(tmp_path: Path) -> None:
    report = unhiss.denoise_file(talk(tmp_path / "a.mkv"), tmp_path / "b.mkv", **OFF)
    assert report.warnings == (
        "audio track 1 of 3 is taken; track=N takes another of 1: aac, 1 channel, eng, Camera; "
        "2: ac3, 1 channel, fra, Microphone; 3: flac, 1 channel",
    )
    assert pitch_hz(tmp_path / "b.mkv", 1) == 400
    with pytest.warns(UserWarning, match=r"a\.mkv: audio track 1 of 3 is taken; track=N takes another"):
        read(tmp_path / "a.mkv")
    single = talk(tmp_path / "c.mkv", ("aac",))
    assert not unhiss.denoise_file(single, tmp_path / "d.mkv", **OFF).warnings
    assert not unhiss.denoise_file(single, tmp_path / "e.mkv", track=1, **OFF).warnings


def test_a_number_without_a_track_is_refused_with_a_list(tmp_path: Path) -> None:
    listed = r"no audio track 4; it holds 1: aac, 1 channel, eng, Camera; 2: ac3, 1 channel, fra, Microphone; 3: flac"
    with pytest.raises(AudioError, match=listed):
        open_source(talk(tmp_path / "a.mkv"), track=4)
    sf.write(tmp_path / "a.wav", tone(4800, 400.0)[0], RATE, "PCM_24")
    with pytest.raises(AudioError, match=r"no audio track 2; it holds 1: PCM_24, 1 channel$"):
        read(tmp_path / "a.wav", track=2)
    assert read(tmp_path / "a.wav", track=1)[0].size == 4800
    with pytest.raises(ConfigError, match="track = 0; expected the number of an audio track, from 1"):
        unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "b.wav", track=0)
    with pytest.raises(ConfigError, match="track = 2; a source that is open has its track"):
        unhiss.Denoiser("nano").file(open_source(tmp_path / "a.mkv", track=1), tmp_path / "b.wav", track=2)


def test_the_command_line_takes_a_track_in_place_and_draws_it(tmp_path: Path) -> None:
    source, options = talk(tmp_path / "a.mkv"), ["--model", "nano", "--mix", "0", "--track", "2", "--json"]
    before = packets(source, 1)
    plot = ["--plot", str(tmp_path / "p.png")]
    result = CliRunner().invoke(command, [str(source), "-o", str(tmp_path / "mic.wav"), *options, *plot])
    assert result.exit_code == 0 and len(json.loads(result.stdout)["warnings"]) == 2
    assert pitch_hz(tmp_path / "mic.wav", 1) == 800 and (tmp_path / "p.png").exists()
    assert CliRunner().invoke(command, [str(source), "--in-place", *options]).exit_code == 0
    assert packets(source, 1) == before and pitch_hz(source, 2) == 800
    refused = CliRunner().invoke(command, [str(source), "-o", str(tmp_path / "no.wav"), "--track", "9"])
    assert refused.exit_code == 1 and not (tmp_path / "no.wav").exists()
