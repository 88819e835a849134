"""What a container can hold of audio: the encoder, its settings, and which speaker each channel is for."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unhiss.errors import AudioError, WrongAudioOption
from unhiss.media import layouts
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.tracks import MUXERS, family

# Codings (as named by the user, libsndfile or FFmpeg) whose encoder has another name.
_ENCODERS = {
    "OPUS": "libopus", "MPEG_LAYER_III": "libmp3lame", "MP3": "libmp3lame", "MPEG_LAYER_II": "mp2",
    "ALAC_16": "alac", "ALAC_24": "alac", "ALAC_20": "alac", "ALAC_32": "alac", "AMR_NB": "libopencore_amrnb",
    "PCM_16": "pcm_s16le", "PCM_24": "pcm_s24le", "PCM_32": "pcm_s32le", "FLOAT": "pcm_f32le", "DOUBLE": "pcm_f64le",
    "PCM_U8": "pcm_u8", "PCM_S8": "pcm_s8", "ALAW": "pcm_alaw", "ULAW": "pcm_mulaw",
}  # fmt: skip
_IN_MP4 = ("aac", "alac", "ac3", "eac3", "opus")
# By number of channels, the most common first.
_LAYOUTS = {
    1: ("mono",), 2: ("stereo",), 3: ("3.0", "2.1"), 4: ("4.0", "quad"), 5: ("5.0",), 6: ("5.1",),
    7: ("6.1", "6.1(back)"), 8: ("7.1", "7.1(wide)"),
}  # fmt: skip
_IN_AC3 = ("mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad(side)", "3.1", "5.0(side)", "4.1", "5.1(side)")
# By encoder, the layouts that decoders read back; encoders without an entry keep any.
_READ_BACK = {
    "aac": ("mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "5.0", "5.1", "7.1"),
    "alac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)"),
    "libopus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
    "tta": ("mono", "stereo", "2.1", "quad", "5.1", "6.1(back)", "7.1(wide-side)"),
    "ac3": _IN_AC3, "eac3": _IN_AC3, "libmp3lame": ("mono", "stereo"), "wmav2": ("mono", "stereo"),
}  # fmt: skip
_DEEPEST = ("PCM_32", "FLOAT", "DOUBLE")  # which FLAC cannot hold
_UNPLACED = " channels"  # ends the name of a layout without speakers


@dataclass(frozen=True, slots=True)
class Coding:
    """An encoder that a container supports, and its settings: bits/s (0: lossless), sample format, layout."""

    encoder: str
    rate: int
    bit_rate: int
    sample_format: str
    layout: str
    positions: tuple[str, ...]  # of the channels as a reader finds them; () if it finds none


def choose_coding(path: Path, like: AudioFormat, subtype: str | None, source: Any | None) -> Coding:
    """How to encode audio for a file of this name: `subtype`, else the source's coding, else the container's usual one.

    A coding that keeps the layout comes first, then one that has it with side and back exchanged.
    source: the track that is replaced, if it is known. Raises AudioError if the container supports none of them.
    """
    muxer, usual = MUXERS[path.suffix.lower()]
    names = [subtype] if subtype else [*_source_coding(muxer, like, source), *usual]
    for encoders in _groups(muxer, [_ENCODERS.get(name.upper(), name.lower()) for name in names], like):
        for keeps, choices in _layout_choices(like):
            for encoder, layout in itertools.product(encoders, choices):
                kept = _keeps(muxer, encoder, layout, like)
                if (kept or not keeps) and (opened := _try_encoder(muxer, encoder, like, layout)):
                    return replace(opened, positions=layouts.positions(layout) if kept else ())
    what, kind = (f"{subtype} of {like.shape}", WrongAudioOption) if subtype else (like.shape, AudioError)
    raise kind(f"{path}: {path.suffix} cannot hold {what}; try .m4a, .mkv or .wav")


def _groups(muxer: str, encoders: list[str], like: AudioFormat) -> list[list[str]]:
    """Encoders in groups, of which a later one is used only if none of an earlier one opens at all.

    PCM in Matroska names no speakers. FLAC does, and keeps the samples, up to 24 bits.
    """
    if family(muxer) != "matroska" or not encoders[0].startswith("pcm") or len(encoders) == 1:
        return [encoders]
    first, *others = encoders
    return [[first], others] if like.subtype in _DEEPEST else [[first, "flac", *others]]


def _layout_choices(like: AudioFormat) -> Iterator[tuple[bool, list[str]]]:
    """Layouts to try, from the best on, and whether only codings that keep them will do."""
    unknown = layouts.usual(like.channels) if like.channels <= 2 else f"{like.channels}{_UNPLACED}"
    own = unknown if not like.layout or layouts.UNASSIGNED in like.layout else like.layout
    yield True, [own]
    if near := layouts.near(own):
        yield True, [near]
    usual = _LAYOUTS.get(like.channels, ())
    yield True, [*usual, *layouts.of_size(like.channels)]
    yield False, [own, *usual]


def _keeps(muxer: str, encoder: str, layout: str, like: AudioFormat) -> bool:
    """Whether a reader finds the layout again."""
    if layout.endswith(_UNPLACED):
        return encoder.startswith("pcm") or (encoder == "libopus" and layout == like.layout)
    if encoder in _READ_BACK:
        return layout in _READ_BACK[encoder]
    no_mask = (encoder.startswith("pcm") and family(muxer) == "matroska") or (
        encoder == "wavpack" and like.channels <= 2
    )
    return not no_mask or layout in ("mono", "stereo")


def _source_coding(muxer: str, like: AudioFormat, source: Any | None) -> list[str]:
    """The source's coding, unless an MP4 would hold something that its players do not expect."""
    name = like.subtype if source is None else source.codec_context.codec.canonical_name
    same = source is not None and source.container.format.name.split(",")[0] == family(muxer)
    return [name] if same or family(muxer) != "mov" or name.lower().startswith(_IN_MP4) else []


def _try_encoder(muxer: str, encoder: str, like: AudioFormat, layout: str) -> Coding | None:
    """The settings with which an encoder opens; None if it does not, or the muxer does not support it."""
    import av

    if not encoder or encoder not in av.codecs_available:
        return None
    with av.open(io.BytesIO(), "w", format=muxer) as trial:
        if encoder not in trial.supported_codecs:
            return None
    lossless = encoder in ("alac", "flac", "tta", "wavpack")
    try:
        codec = av.Codec(encoder, "w")
        rate = 48000 if encoder == "libopus" and like.rate not in (codec.audio_rates or ()) else like.rate
        names = [form.name for form in codec.audio_formats or ()]
        deep = any(mark in like.subtype for mark in ("24", "32", "FLOAT", "DOUBLE"))
        form = next((n for n in names if n.startswith("s32" if deep else "s16")), names[0]) if lossless else names[0]
        # Without a source bit rate, one at which speech and music lose nothing audible.
        bit_rate = like.bit_rate or (64_000 if encoder == "libopus" else 96_000) * like.channels
        bit_rate = 0 if lossless or encoder.startswith("pcm") else bit_rate
        context: Any = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout, context.format, context.bit_rate = rate, layout, form, bit_rate
        context.open()
    except (av.FFmpegError, ValueError, IndexError):
        return None
    return Coding(encoder, rate, bit_rate, form, layout, ())
