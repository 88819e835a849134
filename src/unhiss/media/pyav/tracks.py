"""What a container can hold: the coding of its audio, and the tracks copied from the source."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from unhiss.errors import AudioError, WrongAudioOption
from unhiss.media.formats import AudioFormat, reason
from unhiss.media.pyav.container import has_video, is_cover, open_media

_MP4, _MATROSKA = ("aac", "alac"), ("libopus", "flac")
# Extension -> FFmpeg's muxer, and the encoders to try if the source's coding does not fit.
MUXERS = {
    ".m4a": ("mp4", _MP4), ".m4b": ("mp4", _MP4), ".mp4": ("mp4", _MP4), ".m4v": ("mp4", _MP4),
    ".mov": ("mov", _MP4), ".3gp": ("3gp", ("aac",)), ".mkv": ("matroska", _MATROSKA), ".mka": ("matroska", _MATROSKA),
    ".webm": ("webm", ("libopus",)), ".weba": ("webm", ("libopus",)), ".wma": ("asf", ("wmav2",)),
    ".wmv": ("asf", ("wmav2",)), ".asf": ("asf", ("wmav2",)), ".aac": ("adts", ("aac",)),
    ".avi": ("avi", ("libmp3lame", "aac")), ".flv": ("flv", ("aac",)), ".ac3": ("ac3", ("ac3",)),
    ".wv": ("wv", ("wavpack",)), ".tta": ("tta", ("tta",)),
}  # fmt: skip
AUDIO_ONLY = (".m4a", ".m4b", ".mka", ".weba", ".wma", ".aac", ".ac3", ".wv", ".tta")  # no moving pictures
BRANDS = {".m4a": "M4A ", ".m4b": "M4B "}  # of an MP4 that holds audio alone
SINGLE = ("adts", "ac3", "wv", "tta")  # muxers of one track
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
_FAMILIES = {"mp4": "mov", "3gp": "mov", "webm": "matroska"}
# Metadata of the file, or of the audio that is replaced, which the muxer writes itself.
_MUXER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "itunsmpb")
_MUXER_PREFIXES = ("bps", "number_of_", "_statistics", "duration-")


@dataclass(frozen=True, slots=True)
class Coding:
    """An encoder that a container supports, and its settings: bits/s (0: lossless), sample format, layout."""

    encoder: str
    rate: int
    bit_rate: int
    sample_format: str
    layout: str


def family(muxer: str) -> str:
    """The demuxer's name for what a muxer writes."""
    return _FAMILIES.get(muxer, muxer)


def choose_coding(path: Path, like: AudioFormat, subtype: str | None, source: Any | None) -> Coding:
    """How to encode audio for a file of this name: `subtype`, else the source's coding, else the container's usual one.

    source: the track that is replaced, if it is known. Raises AudioError if the container supports none of them.
    """
    muxer, usual = MUXERS[path.suffix.lower()]
    candidates = [subtype] if subtype else [*_source_coding(muxer, like, source), *usual]
    layouts = list(_LAYOUTS.get(like.channels, ()))
    if source is not None and source.channels == like.channels and not source.layout.name.endswith("channels"):
        layouts.insert(0, source.layout.name)
    for name in candidates:
        encoder = _ENCODERS.get(name.upper(), name.lower())
        for layout in layouts:
            if opened := _try_encoder(muxer, encoder, like, layout):
                return opened
    what, kind = (f"{subtype} of {like.shape}", WrongAudioOption) if subtype else (like.shape, AudioError)
    raise kind(f"{path}: {path.suffix} cannot hold {what}; try .m4a, .mkv or .wav")


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
    return Coding(encoder, rate, bit_rate, form, layout)


class TrackCopier:
    """Copies the tracks of a source beside the new audio, packet by packet, in step with it.

    `.dropped`: tracks that the muxer cannot hold. If it cannot hold moving pictures, `add` raises ValueError.
    """

    def __init__(self, source: Any, out: Any, audio_only: bool) -> None:
        self.dropped: list[str] = []
        self._audio_only = audio_only
        self._same = source.format.name.split(",")[0] == family(out.format.name)
        self._source, self._out = source, out
        self._copies: dict[int, Any] = {}  # index of a source track -> its copy
        self._next: Any | None = None  # the next packet to copy
        self._packets: Iterator[Any] = iter(())
        out.metadata.update(_without_muxer_tags(source.metadata))
        if family(out.format.name) in ("mov", "matroska", "asf"):
            out.set_chapters(source.chapters())

    def add(self, track: Any) -> None:
        """Add a copy of one track to the muxer, or its name to `dropped`."""
        import av

        if track.discard == av.stream.Discard.all or (track.type == "data" and "timecode" in track.metadata):
            return  # MP4 keeps chapters and time codes as tracks; the muxer writes its own from chapters and metadata
        if self._audio_only and track.type == "video" and not is_cover(track):
            return
        try:
            copy = self._add_copy(track)
        except (ValueError, av.FFmpegError) as error:
            if track.type == "video" and not is_cover(track):
                raise ValueError(f"no {_name(track)} pictures") from error
            self.dropped.append(f"{track.type} ({_name(track)})")
            return
        if copy is None:
            return
        copy.metadata.update(track.metadata)
        copy.disposition = av.stream.Disposition.attached_pic if is_cover(track) else track.disposition
        if self._same and track.type == "video" and copy.codec_context is not None and not is_cover(track):
            copy.codec_context.codec_tag = track.codec_context.codec_tag
        if track.type != "attachment":
            self._copies[track.index] = copy

    def _add_copy(self, track: Any) -> Any | None:
        """The new track; None for a cover that became an attachment. Raises ValueError if the muxer lacks the kind."""
        muxer = self._out.format.name
        attached = track.type == "attachment" or (muxer == "webm" and is_cover(track))
        if track.type in ("data", "unknown") or muxer in SINGLE or (attached and muxer != "matroska"):
            raise ValueError(track.type)
        if track.type == "attachment":
            return self._out.add_attachment(track.name or "file", track.mimetype or "", track.data)
        if muxer == "matroska" and is_cover(track):
            self._attach_cover(track)
            return None
        return self._out.add_stream_from_template(track, opaque=True)

    def describe(self, stream: Any, audio: Any) -> None:
        """Give the new audio track the tags and flags of the old one."""
        tags = _without_muxer_tags(audio.metadata)
        stream.metadata.update(tags)
        stream.disposition = audio.disposition
        if self._source.format.name == "ogg":  # an Ogg file has its tags on the tracks
            self._out.metadata.update({name.lower(): text for name, text in tags.items()})

    def start_s(self, audio: Any) -> Fraction:
        """When the audio starts relative to the other tracks."""
        kept = self._same or has_video(self._source)
        return (audio.start_time or 0) * audio.time_base if kept else Fraction(0)

    def _attach_cover(self, cover: Any) -> None:
        """Matroska keeps cover art as attached files."""
        with open_media(Path(self._source.name)) as container:
            packets = container.demux(container.streams[cover.index])
            data = next((bytes(packet) for packet in packets if packet.size), b"")
        kind = {"mjpeg": "jpg", "png": "png"}.get(cover.name, cover.name)
        self._out.add_attachment(f"cover.{kind}", f"image/{'jpeg' if kind == 'jpg' else kind}", data)

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy packets up to a time, or all that are left if None."""
        if self._next is None and self._copies:
            self._packets = self._source.demux([self._source.streams[index] for index in self._copies])
            self._next = self._read()
        while self._next is not None:
            packet = self._next
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and time * packet.time_base > seconds:
                return
            if packet.size or time is not None:  # an empty packet only marks the end of a track
                packet.stream = self._copies[packet.stream_index]
                self._out.mux(packet)
            self._next = self._read()
        self._copies = {}

    def _read(self) -> Any | None:
        import av

        try:
            return next(self._packets, None)
        except av.FFmpegError as error:
            raise AudioError(f"{self._source.name}: damaged ({reason(error)}); get a whole copy") from error


def _name(track: Any) -> str:
    return getattr(track, "name", None) or "unknown"  # PyAV has no name for a coding without a decoder


def _without_muxer_tags(tags: dict[str, str]) -> dict[str, str]:
    own = [name for name in tags if name.lower() in _MUXER_TAGS or name.lower().startswith(_MUXER_PREFIXES)]
    return {name: text for name, text in tags.items() if name not in own}
