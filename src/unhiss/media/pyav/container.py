"""Opening media files with PyAV: the formats allowed, the audio track to use, and the name of its coding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from unhiss.dsp.audio import MAX_RATE, MIN_RATE
from unhiss.errors import AudioError, need
from unhiss.media import layout_headers
from unhiss.media.audio_source import UnreadableError, no_such_track
from unhiss.media.file_range import whole
from unhiss.media.formats import reason

if TYPE_CHECKING:
    import av

# Formats allowed: none that names other files to open (playlists), nor pictures and text.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,avi,flv,mpegts,mpeg,ogg,wav,w64,aiff,flac,mp3,aac,ac3,eac3,dts,ape,amr,"
    "wv,tta,mpc,mpc8,caf,au"
)
_OPEN = 0x7FFFF000  # sizes of 32 bits from here on: written to a pipe, the length was not known
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# FFmpeg's codecs and encoders under libsndfile's names, so that a WAV made from them gets their depth.
_SUBTYPES = {
    "pcm_u8": "PCM_U8", "pcm_s8": "PCM_S8", "pcm_s16": "PCM_16", "pcm_s24": "PCM_24", "pcm_s32": "PCM_32",
    "pcm_f32": "FLOAT", "pcm_f64": "DOUBLE", "pcm_alaw": "ALAW", "pcm_mulaw": "ULAW",
    "mp3": "MPEG_LAYER_III", "libmp3lame": "MPEG_LAYER_III", "mp2": "MPEG_LAYER_II", "libopus": "OPUS",
    "libopencore_amrnb": "AMR_NB",
}  # fmt: skip
_DEEP = ("s32", "s32p", "flt", "fltp")  # sample formats of lossless codecs that hold 24 bits


def open_media(path: Path) -> av.container.InputContainer:
    """A container to demux. Raises AudioError if FFmpeg cannot read it, MissingExtra without PyAV."""
    need("media", "av", what=str(path))
    import av

    options = {"format_whitelist": _DEMUXERS}
    try:
        with path.open("rb") as file:
            if layout_headers.crashes_ffmpeg(whole(file)):
                order = "its header names an order of channels that FFmpeg cannot read"
                raise AudioError(f"{path}: {order}; convert it to WAV with QuickTime or afconvert first")
        return av.open(str(path.resolve()), metadata_errors="surrogateescape", container_options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableError(f"{path}: not a readable recording ({reason(error)}); is it whole?") from error


def stated_size(head: bytes) -> int:
    """Bytes of the file as the header of an AVI, or of a WMA or WMV, states them; 0 if it was written to a pipe."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        size = int.from_bytes(head[4:8], "little")  # of the first part, where there are several
        return 8 + size if size < _OPEN else 0
    at = head.find(_ASF_FILE_PROPERTIES)
    flags = head[at + 88 : at + 89]
    return 0 if at < 0 or not flags or flags[0] & 1 else int.from_bytes(head[at + 40 : at + 48], "little")


def stated_duration(container: av.container.InputContainer, path: Path) -> Fraction:
    """The duration of the longest track in s, as the header states it; 0 where there is none but FFmpeg's estimate."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    from_a_pipe = container.format.name in ("asf", "avi") and not stated_size(head)
    return Fraction(0 if from_a_pipe else container.duration or 0, 1_000_000)


def audio_track(container: av.container.InputContainer, path: Path, number: int | None = None) -> av.AudioStream:
    """An audio track by its number, from 1; None: the one that a player plays, which is the default or the first.

    Raises AudioError if there is none.
    """
    import av

    tracks = container.streams.audio
    if not tracks:
        others = ", ".join(sorted({track.type for track in container.streams})) or "nothing"
        raise AudioError(f"{path}: holds no sound, only {others}; name a file with sound")
    if number is not None and not 1 <= number <= len(tracks):
        raise no_such_track(path, number, map(describe, tracks))
    default = next((t for t in tracks if t.disposition & av.stream.Disposition.default), tracks[0])
    track = tracks[number - 1] if number else default
    if track.codec_context is None:
        raise AudioError(f"{path}: its sound is in a coding unknown to FFmpeg; convert it to WAV first")
    rate, channels = track.rate, track.channels
    if not (MIN_RATE <= rate <= MAX_RATE and channels > 0):
        raise AudioError(f"{path}: damaged, or no speech: {channels} channels at {rate:,} Hz; get a whole copy")
    return track


def describe(track: av.AudioStream) -> str:
    """A track in a list of tracks: its coding, channels, and if they are known, its language and title."""
    texts = {name.lower(): text for name, text in track.metadata.items()}
    language, title = texts.get("language", "und"), texts.get("title") or texts.get("handler_name", "")
    parts = ["unknown coding"]
    if track.codec_context is not None:
        parts = [str(track.name), f"{track.channels} channel{'s' * (track.channels != 1)}"]
    parts += [language] * (language != "und")
    generic = any(word in title.lower() for word in ("handler", "core media"))  # what muxers call any track
    return ", ".join(parts + [title] * bool(title and not generic))


def has_video(container: av.container.InputContainer) -> bool:
    """Whether a container holds moving pictures (cover art does not count)."""
    return any(not is_cover(track) for track in container.streams.video)


def is_cover(track: av.VideoStream) -> bool:
    """Whether a video track is a picture that goes with the audio."""
    import av

    return bool(track.disposition & av.stream.Disposition.attached_pic)


def subtype(codec: str, sample_format: str) -> str:
    """The name of a coding: libsndfile's where it has one (ALAC_24, PCM_16), else FFmpeg's (AAC, WMAV2)."""
    depth = "24" if sample_format in _DEEP else "16"
    if codec in ("alac", "flac", "wavpack", "tta", "ape"):
        return f"ALAC_{depth}" if codec == "alac" else f"PCM_{depth}"
    return next((name for prefix, name in _SUBTYPES.items() if codec.startswith(prefix)), codec.upper())
