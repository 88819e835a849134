"""A channel keeps its speaker from any format to any other, and the layout survives where a file can hold it."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from unhiss.errors import AudioError
from unhiss.media import layouts
from unhiss.media.audio_writer import AudioWriter
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.reader import _samples
from unhiss.media.source import open_source, read
from unhiss.media.writer import open_writer, write

RATE, PART = 48000, 4800  # samples in which one channel speaks alone
ALIASES = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}
# Of files made by FFmpeg: extension -> muxer, encoder, options, and the layouts to try.
WIDE, MPEG, VORBIS = ["5.1(side)", "4.0", "6.1", "7.1(wide)"], ["5.1", "4.0"], ["5.1", "5.0"]
SOURCES: dict[str, tuple[str, str, list[str]]] = {
    "wav": ("wav", "pcm_s16le", WIDE), "w64": ("w64", "pcm_s16le", MPEG), "flac": ("flac", "flac", MPEG),
    "caf": ("caf", "pcm_s16be", ["5.1(side)"]), "aiff": ("aiff", "pcm_s16be", ["hexagonal"]),
    "opus": ("ogg", "libopus", ["3.0", "5.1", "6.1", "7.1"]), "webm": ("webm", "libopus", VORBIS),
    "m4a": ("mp4", "aac", ["5.1", "7.1"]), "alac.m4a": ("mp4", "alac", ["6.1(back)"]),
    "mka": ("matroska", "flac", MPEG), "mov": ("mov", "pcm_s16le", MPEG),
}  # fmt: skip
TARGETS = ("wav", "w64", "rf64", "flac", "caf", "aiff", "ogg", "opus", "m4a", "mka", "webm")
ANY_LAYOUT = ("wav", "w64", "rf64", "flac", "caf", "aiff")  # formats that state every layout


def names_of(layout: str) -> list[str]:
    return [channel.name for channel in av.AudioLayout(layout).channels]


def in_turn(channels: int) -> np.ndarray:
    """Channel k speaks alone in the k-th part; at 90 Hz, which a low-frequency channel keeps too."""
    sound = np.zeros((channels, channels * PART), np.float32)
    for channel in range(channels):
        part = slice(channel * PART, (channel + 1) * PART)
        sound[channel, part] = 0.3 * np.sin(2 * np.pi * 90 / RATE * np.arange(PART))
    return sound


def turns(sound: np.ndarray) -> list[int]:
    """For each part, the channel that speaks in it; the levels must be those of `in_turn`, within 6 dB."""
    channels = len(sound)
    sound = np.pad(sound[:, : channels * PART], ((0, 0), (0, max(0, channels * PART - sound.shape[1]))))
    parts = sound.reshape(channels, channels, PART)[:, :, PART // 4 : 3 * PART // 4]
    levels = np.sqrt((parts**2).mean(axis=2))
    assert np.all(np.abs(20 * np.log10(levels.max(axis=0) / (0.3 / np.sqrt(2)))) < 6)
    assert np.all(np.sort(levels, axis=0)[:-1] < 0.02)
    return [int(channel) for channel in levels.argmax(axis=0)]


def by_ffmpeg(path: Path, muxer: str, encoder: str, layout: str) -> Path:
    """A file in which the speakers of a layout speak in the order of their names."""
    with av.open(str(path), "w", muxer) as out:
        stream: Any = out.add_stream(encoder, rate=RATE, layout=layout)
        stream.format = {"flac": "s16"}.get(encoder, stream.codec_context.codec.audio_formats[0].name)
        stream.options = {"mapping_family": "1"} if encoder == "libopus" else {}
        out.start_encoding()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(in_turn(len(names_of(layout))).T).reshape(1, -1), "flt", layout
        )
        frame.sample_rate, frame.pts = RATE, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def heard_by_ffmpeg(path: Path) -> list[str]:
    """The names of the speakers, in the order in which they speak."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    names = [channel.name for channel in frames[0].layout.channels]
    return [names[channel] for channel in turns(np.concatenate([_samples(frame) for frame in frames], axis=1))]


def convert(source: Path, target: Path, **changes: Any) -> AudioWriter:
    opened = open_source(source)
    with open_writer(target, replace(opened.format, **changes), copy_from=opened) as out:
        for block in opened.blocks(4096):
            out.write(block)
    return out


def test_layouts_have_the_names_and_masks_of_ffmpeg() -> None:
    for name in layouts._MASKS:
        assert list(layouts.positions(name)) == names_of(name), name
        assert layouts.from_mask(layouts.mask_of(name), len(names_of(name))) == name


@pytest.mark.parametrize(("kind", "layout"), [(kind, layout) for kind in SOURCES for layout in SOURCES[kind][2]])
def test_a_speaker_keeps_its_channel_from_any_format_to_any_other(kind: str, layout: str, tmp_path: Path) -> None:
    muxer, encoder, _ = SOURCES[kind]
    source = by_ffmpeg(tmp_path / f"a.{kind}", muxer, encoder, layout)
    spoken = names_of(layout)
    assert open_source(source).format.layout == layout
    assert turns(np.atleast_2d(read(source)[0])) == list(range(len(spoken)))
    for extension in TARGETS:
        made = convert(source, tmp_path / f"b.{extension}")
        heard, back = heard_by_ffmpeg(made.path), open_source(made.path)
        changed = [(old, new) for old, new in zip(spoken, heard, strict=True) if old != new]
        assert all(f"{old} is stored as {new}" in made.notes[0] for old, new in changed), extension
        assert bool(changed) == bool(made.notes), extension
        stored = layouts.positions(back.format.layout)
        assert [stored[channel] for channel in turns(back.read())] == heard, extension
        if extension in ANY_LAYOUT:
            assert back.format.layout == layout and not changed


def wav_with_mask(path: Path, channels: int, mask: int) -> Path:
    sf.write(path, in_turn(channels).T, RATE, "PCM_16", format="WAVEX")
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", mask)
    path.write_bytes(data)
    return path


def mask_in(path: Path) -> int | None:
    """The mask of a WAV; None if its header has none."""
    data = path.read_bytes()
    at = data.index(b"fmt ") + 8
    return struct.unpack("<I", data[at + 20 : at + 24])[0] if data[at : at + 2] == b"\xfe\xff" else None


@pytest.mark.parametrize(
    ("channels", "mask"),
    [(1, 0x1), (1, 0x4), (1, 0x100), (1, 0), (2, 0x3), (2, 0xC), (2, 0), (3, 0x803), (4, 0x3), (6, 0), (8, 0x63F)],
)  # fmt: skip
def test_a_mask_survives_wav_and_what_can_hold_it(channels: int, mask: int, tmp_path: Path) -> None:
    source = wav_with_mask(tmp_path / "a.wav", channels, mask)
    path = source
    for extension in ("wav", "rf64", "flac", "wav"):
        made = convert(path, tmp_path / f"b{len(path.name)}.{extension}")
        assert not made.notes
        path = made.path
        assert turns(np.atleast_2d(read(path)[0])) == list(range(channels))
    direct = convert(source, tmp_path / "c.wav").path
    assert mask_in(direct) == mask
    usual = (channels, mask) in [(1, 0x4), (2, 0x3)]  # which need no mask
    assert mask_in(path) == (None if usual else mask)


def test_bits_beyond_the_channels_do_not_count(tmp_path: Path) -> None:
    source = wav_with_mask(tmp_path / "a.wav", 1, 0x3)
    assert open_source(source).format.layout == "FL"
    assert mask_in(convert(source, tmp_path / "b.wav").path) == 0x1


@pytest.mark.parametrize("extension", ["wav", "flac", "w64", "caf", "aiff", "ogg", "opus", "m4a", "mka", "webm"])
def test_channels_without_speakers_keep_their_order(extension: str, tmp_path: Path) -> None:
    source = tmp_path / "six.wav"
    sf.write(source, in_turn(6).T, RATE, "PCM_16")
    made = convert(source, tmp_path / f"a.{extension}")
    assert turns(read(made.path)[0]) == list(range(6))
    back = convert(made.path, tmp_path / "b.wav")
    assert turns(sf.read(back.path, dtype="float32")[0].T) == list(range(6))
    lossy = extension in ("ogg", "opus", "m4a", "webm")
    assert [note.split(":")[0] for note in made.notes] == ["channel 4 keeps low frequencies alone"] * lossy
    if not lossy:
        assert mask_in(back.path) in (0, None)


@pytest.mark.parametrize("extension", ["ogg", "opus", "m4a"])
def test_an_array_of_six_channels_comes_back_in_order_and_is_warned_of(extension: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="channel 4 keeps low frequencies alone: .* LFE of 5.1"):
        write(tmp_path / f"a.{extension}", in_turn(6), RATE)
    assert turns(read(tmp_path / f"a.{extension}")[0]) == list(range(6))


@pytest.mark.parametrize(("container", "subtype"), [
    ("WAV", "PCM_16"), ("WAVEX", "PCM_16"), ("RF64", "FLOAT"), ("W64", "PCM_24"), ("FLAC", "PCM_16"),
    ("CAF", "ALAC_16"), ("CAF", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_mono_and_stereo_are_written_as_libsndfile_does(
    container: str, subtype: str, channels: int, tmp_path: Path
) -> None:
    extension = {"WAVEX": "wav"}.get(container, container.lower())
    plain = tmp_path / f"plain.{extension}"
    sf.write(plain, in_turn(channels).T, RATE, subtype, format=container)
    opened = open_source(plain)
    assert opened.format.layout == ("mono", "stereo")[channels - 1]
    for layout in ("", opened.format.layout):
        with open_writer(tmp_path / f"b.{extension}", replace(opened.format, layout=layout)) as out:
            out.write(in_turn(channels))
        assert not out.notes
        assert (tmp_path / f"b.{extension}").read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(("tag", "speakers"), [
    (124 << 16 | 6, "FC FL FR SL SR LFE"), (127 << 16 | 8, "FC FLC FRC FL FR SL SR LFE"),
    (118 << 16 | 5, "FL FR SL SR FC"),
    (1 << 16, "FL FR FC LFE BL BR"), (0, "BR BL LFE FC FR FL"), (0, "FL FR SL SR BL BR"),
])  # fmt: skip
@pytest.mark.parametrize("extension", ["caf", "aiff"])
def test_orders_of_core_audio_are_read_by_their_speakers(
    tag: int, speakers: str, extension: str, tmp_path: Path
) -> None:
    names, path = speakers.split(), tmp_path / f"a.{extension}"
    sf.write(path, in_turn(len(names)).T, RATE, "PCM_16")
    mask = sum(1 << layouts.POSITIONS.index(name) for name in names)
    numbers = {"FL": 1, "FR": 2, "FC": 3, "LFE": 4, "BL": 5, "BR": 6}  # Apple's: Left Surround is 5
    if "SL" in names:
        numbers |= {"SL": 5, "SR": 6, "BL": 33, "BR": 34}  # 33 is Rear Surround Left
    described = [struct.pack(">IIfff", numbers[name], 0, 0, 0, 0) for name in names] if tag == 0 else []
    body = struct.pack(">III", tag, mask if tag == 1 << 16 else 0, len(described)) + b"".join(described)
    data = path.read_bytes()
    if extension == "caf":
        data = data[:52] + b"chan" + struct.pack(">q", len(body)) + body + data[52:]
    else:
        chunk = b"CHAN" + struct.pack(">I", len(body)) + body
        data = b"FORM" + struct.pack(">I", len(data) - 8 + len(chunk)) + data[8:12] + chunk + data[12:]
    path.write_bytes(data)
    opened = open_source(path)
    stored = layouts.positions(opened.format.layout)
    assert [stored[channel] for channel in turns(opened.read())] == names
    assert heard_by_ffmpeg(convert(path, tmp_path / "b.flac").path) == names


def test_opus_without_speakers_stays_so(tmp_path: Path) -> None:
    source = tmp_path / "a.opus"
    with av.open(str(source), "w", "ogg") as out:
        stream: Any = out.add_stream("libopus", rate=RATE, layout="5.1")
        stream.options = {"mapping_family": "255"}
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(in_turn(6).T).reshape(1, -1), "flt", "5.1")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert open_source(source).format.layout == "6 channels"
    made = convert(source, tmp_path / "b.mka")
    assert not made.notes and turns(read(made.path)[0]) == list(range(6))
    with av.open(str(made.path)) as container:
        assert container.streams.audio[0].layout.name == "6 channels"


@pytest.mark.parametrize(("target", "subtype", "note"), [
    ("a.au", None, r"layout 5.1 \(FL FR FC LFE BL BR\) is not kept: .au names no speakers"),
    ("a.mka", "FLOAT", r"layout 5.1 .* is not kept: .mka names no speakers"),
    ("a.ac3", None, r"layout 5.1 becomes 5.1\(side\) in .ac3: BL is stored as SL, BR is stored as SR$"),
    ("a.caf", "ALAC_16", None), ("a.mka", None, None), ("a.mov", "PCM_24", None), ("a.wv", None, None),
])  # fmt: skip
def test_what_a_format_cannot_hold_is_said(target: str, subtype: str | None, note: str | None, tmp_path: Path) -> None:
    with open_writer(tmp_path / target, AudioFormat(RATE, 6, 6 * PART, "WAV", "PCM_16", layout="5.1"), subtype) as out:
        out.write(in_turn(6))
    assert re.match(note, out.notes[0]) if note else not out.notes
    assert turns(read(tmp_path / target)[0]) == list(range(6))


def test_pcm_with_speakers_goes_into_matroska_as_flac_of_its_depth(tmp_path: Path) -> None:
    sound = in_turn(6)
    with open_writer(tmp_path / "a.wav", AudioFormat(RATE, 6, 6 * PART, "WAV", "PCM_24", layout="5.1(side)")) as out:
        out.write(sound)
    made = convert(tmp_path / "a.wav", tmp_path / "b.mka")
    with av.open(str(made.path)) as container:
        track = container.streams.audio[0]
        assert (track.codec_context.name, track.layout.name) == ("flac", "5.1(side)")
    np.testing.assert_array_equal(read(made.path)[0], read(tmp_path / "a.wav")[0])


def test_an_order_on_which_ffmpeg_crashes_never_reaches_it(tmp_path: Path) -> None:
    """FFmpeg 8 corrupts its memory on the tag of C L R Ls Rs LFE; these would end this process."""
    tag = struct.pack(">I", 124 << 16 | 6)
    caf = tmp_path / "a.caf"
    sf.write(caf, in_turn(6).T, RATE, "PCM_16")
    data = caf.read_bytes()
    caf.write_bytes(data[:52] + b"chan" + struct.pack(">q", 12) + tag + bytes(8) + data[52:])
    made = convert(caf, tmp_path / "b.m4a")
    assert turns(read(made.path)[0]) == [2, 0, 1, 4, 5, 3]  # the order of 5.1: FL FR FC LFE BL BR
    movie = by_ffmpeg(tmp_path / "a.mov", "mov", "pcm_s16le", "5.1(side)")
    data = movie.read_bytes()
    at = data.index(b"chan") + 8
    movie.write_bytes(data[:at] + tag + data[at + 4 :])
    with pytest.raises(AudioError, match="names an order of channels that FFmpeg cannot read"):
        open_source(movie)
    coded = by_ffmpeg(tmp_path / "b.mov", "mov", "alac", "5.1")  # in which the tag does no harm
    data = coded.read_bytes()
    at = data.index(b"chan") + 8
    coded.write_bytes(data[:at] + tag + data[at + 4 :])
    assert turns(read(coded)[0]) == list(range(6))
