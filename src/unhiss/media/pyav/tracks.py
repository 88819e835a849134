"""What a container can hold beside its audio: the tracks copied from the source."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from unhiss.errors import AudioError
from unhiss.media.formats import reason
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
_FAMILIES = {"mp4": "mov", "3gp": "mov", "webm": "matroska"}
# Metadata of the file, or of the audio that is replaced, which the muxer writes itself.
_MUXER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "itunsmpb")
_MUXER_PREFIXES = ("bps", "number_of_", "_statistics", "duration-")


def family(muxer: str) -> str:
    """The demuxer's name for what a muxer writes."""
    return _FAMILIES.get(muxer, muxer)


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
