"""Formats beyond libsndfile, through PyAV (`unhiss[media]`): M4A, WMA, Matroska, and the audio of videos.

Audio is written in the source's coding and bit rate where FFmpeg can encode it, else in AAC (MP4 family, AVI, FLV),
Opus (Matroska, WebM) or WMA 2 (ASF). Opus has no 44.1 kHz: such audio becomes 48 kHz. Pictures, subtitles, chapters,
cover art and further audio tracks are copied packet by packet; `PyavWriter.dropped` names what the target cannot hold.
Only ALAC, FLAC, TTA, WavPack and PCM keep every sample; of other codings the length is right to one codec frame. AVI
and FLV cannot mark priming: whole packets of it are left out there.
"""

from unhiss.media.pyav.tracks import MUXERS

_READ_ONLY = {".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".ogv", ".eac3", ".dts", ".ape", ".amr", ".mpc"}
EXTENSIONS = frozenset(MUXERS) | _READ_ONLY  # with their dot
