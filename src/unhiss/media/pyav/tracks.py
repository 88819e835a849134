"""What a container can hold: the coding for its sound, and the tracks copied beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from unhiss.errors import AudioError
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.container import is_cover, open_media, reason

_MP4, _MATROSKA = ("aac", "alac"), ("libopus", "flac")
# Extension -> FFmpeg's muxer, and the encoders to try when the source's is no choice.
MUXERS = {
    ".m4a": ("mp4", _MP4), ".m4b": ("mp4", _MP4), ".mp4": ("mp4", _MP4), ".m4v": ("mp4", _MP4),
    ".mov": ("mov", _MP4), ".3gp": ("3gp", ("aac",)), ".mkv": ("matroska", _MATROSKA), ".mka": ("matroska", _MATROSKA),
    ".webm": ("webm", ("libopus",)), ".weba": ("webm", ("libopus",)), ".wma": ("asf", ("wmav2",)),
    ".wmv": ("asf", ("wmav2",)), ".asf": ("asf", ("wmav2",)), ".aac": ("adts", ("aac",)),
    ".avi": ("avi", ("libmp3lame", "aac")), ".flv": ("flv", ("aac",)), ".ac3": ("ac3", ("ac3",)),
    ".wv": ("wv", ("wavpack",)), ".tta": ("tta", ("tta",)),
}  # fmt: skip
AUDIO_ONLY = (".m4a", ".m4b", ".mka", ".weba", ".wma", ".aac", ".ac3", ".wv", ".tta")  # no moving pictures
BRANDS = {".m4a": "M4A ", ".m4b": "M4B "}  # what an MP4 calls itself when it holds sound alone
SINGLE = ("adts", "ac3", "wv", "tta")  # muxers of one track
# Names of codings (the user's, libsndfile's or FFmpeg's) whose encoder is called otherwise.
_ENCODERS = {
    "OPUS": "libopus", "MPEG_LAYER_III": "libmp3lame", "MP3": "libmp3lame", "MPEG_LAYER_II": "mp2",
    "ALAC_16": "alac", "ALAC_24": "alac", "ALAC_20": "alac", "ALAC_32": "alac", "AMR_NB": "libopencore_amrnb",
    "PCM_16": "pcm_s16le", "PCM_24": "pcm_s24le", "PCM_32": "pcm_s32le", "FLOAT": "pcm_f32le", "DOUBLE": "pcm_f64le",
    "PCM_U8": "pcm_u8", "PCM_S8": "pcm_s8", "ALAW": "pcm_alaw", "ULAW": "pcm_mulaw",
}  # fmt: skip
_IN_MP4 = ("aac", "alac", "ac3", "eac3", "opus")
# By number of channels, the likeliest first.
_LAYOUTS = (
    ("mono",), ("stereo",), ("3.0", "2.1"), ("4.0", "quad"), ("5.0",), ("5.1",), ("6.1", "6.1(back)"),
    ("7.1", "7.1(wide)"),
)  # fmt: skip
_FAMILIES = {"mp4": "mov", "3gp": "mov", "webm": "matroska"}
# Facts of the file, or of the sound that is replaced, which the muxer writes anew.
_OWN_FACTS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "itunsmpb")
_OWN_PREFIXES = ("bps", "number_of_", "_statistics", "duration-")


@dataclass(frozen=True, slots=True)
class Coding:
    """An encoder that a container takes, and what it is set to: bits/s (0: lossless), sample format, layout."""

    encoder: str
    rate: int
    bit_rate: int
    sample_format: str
    layout: str

    @property
    def subtype(self) -> str:
        """libsndfile's name of it where it has one."""
        deep = "24" if self.sample_format.startswith("s32") else "16"
        if self.encoder == "alac":
            return f"ALAC_{deep}"
        if self.encoder in ("flac", "tta", "wavpack"):
            return f"PCM_{deep}"
        return next((name for name, encoder in _ENCODERS.items() if encoder == self.encoder), self.encoder.upper())


def family(muxer: str) -> str:
    """The demuxer's name for what a muxer writes."""
    return _FAMILIES.get(muxer, muxer)


def choose(path: Path, like: AudioFormat, subtype: str | None, source: Any | None) -> Coding:
    """How to encode sound for a file of this name: the coding asked for, else the source's, else the usual one.

    source: the track that is replaced, if it is known. Raises AudioError if the container takes none of them.
    """
    muxer, usual = MUXERS[path.suffix.lower()]
    wanted = [subtype] if subtype else [*_own(muxer, like, source), *usual]
    layouts = [layout for known in _LAYOUTS[like.channels - 1 : like.channels] for layout in known]
    if source is not None and source.channels == like.channels and not source.layout.name.endswith("channels"):
        layouts.insert(0, source.layout.name)
    for name in wanted:
        encoder = _ENCODERS.get(name.upper(), name.lower())
        for layout in layouts:
            found = _opened(muxer, encoder, like, layout)
            if found:
                return found
    what = f"{subtype} of " if subtype else ""
    sound = f"{like.channels} channel{'s' * (like.channels > 1)} at {like.rate:,} Hz"
    raise AudioError(f"{path}: {path.suffix} cannot hold {what}{sound}; try .m4a, .mkv or .wav")


def _own(muxer: str, like: AudioFormat, source: Any | None) -> list[str]:
    """The source's coding, unless an MP4 would hold something that its players do not expect there."""
    own = like.subtype if source is None else source.codec_context.codec.canonical_name
    same = source is not None and source.container.format.name.split(",")[0] == family(muxer)
    return [own] if same or family(muxer) != "mov" or own.lower().startswith(_IN_MP4) else []


def _opened(muxer: str, encoder: str, like: AudioFormat, layout: str) -> Coding | None:
    import av

    if not encoder or encoder not in av.codecs_available or not _holds(muxer, encoder):
        return None
    try:
        codec = av.Codec(encoder, "w")
        rate = like.rate
        if encoder == "libopus" and rate not in (codec.audio_rates or ()):
            rate = 48000
        names = [form.name for form in codec.audio_formats or ()]
        deep = any(mark in like.subtype for mark in ("24", "32", "FLOAT", "DOUBLE"))
        form = next((n for n in names if n.startswith("s32" if deep else "s16")), names[0])
        form = form if encoder in ("alac", "flac", "tta", "wavpack") else names[0]
        trial: Any = av.CodecContext.create(codec, "w")
        trial.sample_rate, trial.layout, trial.format = rate, layout, form
        bit_rate = _bit_rate(encoder, like)
        trial.bit_rate = bit_rate
        trial.open()
    except (av.FFmpegError, ValueError, IndexError):
        return None
    return Coding(encoder, rate, bit_rate, form, layout)


def _holds(muxer: str, encoder: str) -> bool:
    import io

    import av

    with av.open(io.BytesIO(), "w", format=muxer) as trial:
        return encoder in trial.supported_codecs


def _bit_rate(encoder: str, like: AudioFormat) -> int:
    """The source's bit rate if both are lossy, else one at which speech and music lose nothing to the ear."""
    if encoder.startswith(("alac", "flac", "tta", "wavpack", "pcm")):
        return 0
    return like.bit_rate or (64_000 if encoder == "libopus" else 96_000) * like.channels


class Tracks:
    """The tracks of a source that go beside the new sound, added to a muxer and copied as time goes on.

    `.dropped`: those that the muxer cannot hold, but for moving pictures: without these it raises ValueError.
    """

    def __init__(self, source: Any, out: Any, sound_only: bool) -> None:
        self.dropped: list[str] = []
        self._sound_only = sound_only
        self._same = source.format.name.split(",")[0] == family(out.format.name)
        self._source, self._out = source, out
        self._pairs: dict[int, Any] = {}
        self._next: Any | None = None
        self._packets: Iterator[Any] = iter(())
        out.metadata.update(_kept(source.metadata))
        if family(out.format.name) in ("mov", "matroska", "asf"):
            out.set_chapters(source.chapters())

    def add(self, track: Any) -> None:
        """Make room for a copy of one track; if the container has none, its name goes to `dropped`."""
        import av

        if track.discard == av.stream.Discard.all or (track.type == "data" and "timecode" in track.metadata):
            return  # chapters and time codes, which MP4 keeps as tracks, are written anew; pictures name their code too
        if track.type in ("data", "unknown"):
            self.dropped.append(f"{track.type} ({_name(track)})")
            return
        if self._sound_only and track.type == "video" and not is_cover(track):
            return
        try:
            attached = track.type == "attachment" or (self._out.format.name == "webm" and is_cover(track))
            if self._out.format.name in SINGLE or (attached and self._out.format.name != "matroska"):
                raise ValueError
            if track.type == "attachment":
                copy = self._out.add_attachment(track.name or "file", track.mimetype or "", track.data)
            elif self._out.format.name == "matroska" and is_cover(track):
                self._attach(track)
                return
            else:
                copy = self._out.add_stream_from_template(track, opaque=True)
        except (ValueError, av.FFmpegError) as error:
            if track.type == "video" and not is_cover(track):
                raise ValueError(f"no {_name(track)} pictures") from error
            self.dropped.append(f"{track.type} ({_name(track)})")
            return
        copy.metadata.update(track.metadata)
        copy.disposition = av.stream.Disposition.attached_pic if is_cover(track) else track.disposition
        if self._same and track.type == "video" and copy.codec_context is not None and not is_cover(track):
            copy.codec_context.codec_tag = track.codec_context.codec_tag
        if track.type != "attachment":
            self._pairs[track.index] = copy

    def describe(self, stream: Any, sound: Any) -> None:
        """Give the new sound the tags and flags of the old."""
        stream.metadata.update(_kept(sound.metadata))
        stream.disposition = sound.disposition
        if self._source.format.name == "ogg":  # keeps the tags of all with its tracks
            self._out.metadata.update({name.lower(): text for name, text in _kept(sound.metadata).items()})

    def start_s(self, sound: Any) -> Fraction:
        """When the sound starts beside the other tracks."""
        beside = any(not is_cover(track) for track in self._source.streams.video)
        return (sound.start_time or 0) * sound.time_base if self._same or beside else Fraction(0)

    def _attach(self, cover: Any) -> None:
        """Matroska keeps pictures of this kind as attached files."""
        with open_media(Path(self._source.name)) as again:
            data = next((bytes(packet) for packet in again.demux(again.streams[cover.index]) if packet.size), b"")
        kind = {"mjpeg": "jpg", "png": "png"}.get(cover.name, cover.name)
        self._out.add_attachment(f"cover.{kind}", f"image/{'jpeg' if kind == 'jpg' else kind}", data)

    def until(self, seconds: Fraction | None) -> None:
        """Copy packets up to a time, all that are left if None."""
        if self._next is None and self._pairs:
            self._packets = self._source.demux([self._source.streams[index] for index in self._pairs])
            self._next = self._read()
        while self._next is not None:
            packet = self._next
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and time * packet.time_base > seconds:
                return
            if packet.size or time is not None:  # else it only says that a track has ended
                packet.stream = self._pairs[packet.stream_index]
                self._out.mux(packet)
            self._next = self._read()
        self._pairs = {}

    def _read(self) -> Any | None:
        import av

        try:
            return next(self._packets, None)
        except av.FFmpegError as error:
            raise AudioError(f"{self._source.name}: damaged ({reason(error)}); get a whole copy") from error


def _name(track: Any) -> str:
    return getattr(track, "name", None) or "unknown"  # PyAV gives none to a coding that it has no decoder for


def _kept(tags: dict[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in tags.items()
        if name.lower() not in _OWN_FACTS and not name.lower().startswith(_OWN_PREFIXES)
    }
