"""Recordings whose headers do not say what they hold, presented to libsndfile as files that do.

Recorders are cut off before they write a size, sizes of 32 bits overflow, tools put files end to end, taggers append.
A decoder that believes the header then returns a part of the recording, or nothing, without an error. `examine` reads
the structure itself: the chunks of WAV, W64, AIFF, AU and CAF, the frames of FLAC and MP3, the pages of Ogg.
"""

from unhiss.media.file_range import FileRange
from unhiss.media.repair import chunks, flac, headers, mpeg, oggs
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import id3

__all__ = ["Examination", "Part", "examine"]


def examine(data: FileRange) -> Examination:
    """What a recording that libsndfile reads holds, by its own structure; empty where its header can be believed."""
    before, audio, _ = id3.split(data)
    behind_tag = data[audio.start - data.start :]
    head = bytes(behind_tag[:4])
    if head == b"fLaC":
        return flac.examine(behind_tag)
    if head not in headers.MARKS and head != b"OggS":
        return mpeg.examine(audio) if before or mpeg.begins(audio) else Examination()
    found = oggs.examine(behind_tag) if head == b"OggS" else chunks.examine(behind_tag)
    return Examination((Part((behind_tag,)),)) if before and not found.parts else found
