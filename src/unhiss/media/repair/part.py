"""What an examination of a recording finds."""

from dataclasses import dataclass

from unhiss.media.file_range import Piece


@dataclass(frozen=True, slots=True)
class Part:
    """A complete file for libsndfile, in pieces.

    frames: samples per channel it must give; None: as libsndfile says. uncounted: only decoding tells how many.
    """

    pieces: tuple[Piece, ...]
    frames: int | None = None
    uncounted: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """parts: the recording as files that say what they hold, one after another; none if it does so itself.

    notes: what is wrong with it, for the user, each a clause without its end ("holds 3 of 4 bytes of sound").
    recordings: how many stand one behind the other where the format has no place for a second.
    """

    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    recordings: int = 1
