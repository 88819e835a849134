"""Which speaker each channel is for: names of layouts, masks, and the orders in which codings store channels.

In unhiss channels are in the order of WAV and FFmpeg, which is that of POSITIONS. Names are FFmpeg's: "5.1", for a
layout without a name of its own its positions, such as "FL+FR+TC", "6 channels" if a file says that none is for a
speaker, and "" if it says nothing. Sources: WAVEFORMATEXTENSIBLE (Microsoft); Vorbis I, section 4.3.9; RFC 7845, 5.1.1
(Opus); RFC 9639, 9.1.3 (FLAC).
"""

from collections.abc import Sequence

# By bit of a WAV's channel mask.
POSITIONS = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
UNASSIGNED = "UNK"  # the position of a channel that a mask has no bit for
_MASKS = {
    "mono": 0x4, "stereo": 0x3, "2.1": 0xB, "3.0": 0x7, "3.0(back)": 0x103, "4.0": 0x107, "quad": 0x33,
    "quad(side)": 0x603, "3.1": 0xF, "5.0": 0x37, "5.0(side)": 0x607, "4.1": 0x10F, "5.1": 0x3F, "5.1(side)": 0x60F,
    "6.0": 0x707, "6.0(front)": 0x6C3, "hexagonal": 0x137, "6.1": 0x70F, "6.1(back)": 0x13F, "6.1(front)": 0x6CB,
    "7.0": 0x637, "7.0(front)": 0x6C7, "7.1": 0x63F, "7.1(wide)": 0xFF, "7.1(wide-side)": 0x6CF, "octagonal": 0x737,
}  # fmt: skip
_RANKS = {name: rank for rank, name in enumerate((*POSITIONS, UNASSIGNED))}
_NAMES = {mask: name for name, mask in _MASKS.items()}
_VORBIS = (
    "FC", "FL FR", "FL FC FR", "FL FR BL BR", "FL FC FR BL BR", "FL FC FR BL BR LFE", "FL FC FR SL SR BC LFE",
    "FL FC FR SL SR BL BR LFE",
)  # fmt: skip
_ALAC = (
    "FC", "FL FR", "FC FL FR", "FC FL FR BC", "FC FL FR BL BR", "FC FL FR BL BR LFE", "FC FL FR BL BR BC LFE",
    "FC FLC FRC FL FR BL BR LFE",
)  # fmt: skip
_FLAC = ("mono", "stereo", "3.0", "quad", "5.0(side)", "5.1(side)", "6.1", "7.1")
_ACROSS = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}  # the pair behind the listener has either name


def positions(layout: str) -> tuple[str, ...]:
    """The position of each channel, in order; () if they are unknown.

    >>> positions("5.1")
    ('FL', 'FR', 'FC', 'LFE', 'BL', 'BR')
    """
    if layout in _MASKS:
        return tuple(name for bit, name in enumerate(POSITIONS) if _MASKS[layout] >> bit & 1)
    names = tuple(layout.split("+"))
    return names if set(names) <= {*POSITIONS, UNASSIGNED} else ()


def mask_of(layout: str) -> int:
    """The mask that a WAV holds for a layout; 0 if the positions are unknown."""
    return sum(1 << POSITIONS.index(name) for name in positions(layout) if name != UNASSIGNED)


def from_mask(mask: int, channels: int) -> str:
    """The layout that a mask states: bits beyond the channels do not count, channels beyond the bits have no position.

    >>> from_mask(0x60F, 6)
    '5.1(side)'
    """
    names = [name for bit, name in enumerate(POSITIONS) if mask >> bit & 1][:channels]
    return from_positions([*names, *[UNASSIGNED] * (channels - len(names))])[0] if names else f"{channels} channels"


def from_positions(names: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The layout of a stream's channels, and for each channel in the order of POSITIONS its index in the stream.

    A stream with a position twice, or with one that is not in POSITIONS, keeps its order, and its layout is "".
    """
    known = [name for name in names if name in POSITIONS]
    if not known or len({*known}) < len(known) or not {*names} <= {*POSITIONS, UNASSIGNED}:
        return "", tuple(range(len(names)))
    order = sorted(range(len(names)), key=lambda index: _RANKS[names[index]])
    ordered = [names[index] for index in order]
    mask = sum(1 << POSITIONS.index(name) for name in known)
    named = len(known) == len(names) and mask in _NAMES
    return _NAMES[mask] if named else "+".join(ordered), tuple(order)


def near(layout: str) -> str:
    """The layout with the same pair at the other place, side or back; "" if there is none."""
    names = positions(layout)
    other = from_positions([_ACROSS.get(name, name) for name in names])[0]
    return other if other in _MASKS and other != layout else ""


def of_size(channels: int) -> list[str]:
    """All layouts of a number of channels that have a name."""
    return [name for name, mask in _MASKS.items() if mask.bit_count() == channels]


def usual(channels: int) -> str:
    """The layout that is meant where nothing is said; "" if there is no custom."""
    return from_positions(_VORBIS[channels - 1].split())[0] if 0 < channels <= len(_VORBIS) else ""


def implied(container: str, subtype: str, channels: int) -> tuple[str, ...]:
    """The positions of a stream's channels, in its own order, where the coding fixes them by number; else ().

    container, subtype: libsndfile's names.
    """
    if not 0 < channels <= 8:
        return ()
    if container == "FLAC":
        return positions(_FLAC[channels - 1])
    if subtype in ("VORBIS", "OPUS"):
        return tuple(_VORBIS[channels - 1].split())
    if subtype.startswith("ALAC"):
        return tuple(_ALAC[channels - 1].split())
    return positions(("mono", "stereo")[channels - 1]) if channels <= 2 else ()


def place(layout: str, stored: Sequence[str]) -> tuple[int, ...]:
    """For each channel of a stream with the positions `stored`, the index of the channel of `layout` to put there.

    A channel goes to its position, else to the same one at the side or back, else to the first that is left. Without
    known positions the channels keep their order.
    """
    names = positions(layout)
    targets = [stored[index] for index in from_positions(stored)[1]]  # in the order of POSITIONS
    if len(names) != len(stored):
        names = tuple(targets)
    places: dict[str, int] = {}
    for rename in ({}, _ACROSS):
        for index, name in enumerate(names):
            target = rename.get(name, name)
            if index not in places.values() and target in targets and target not in places:
                places[target] = index
    left = [index for index in range(len(names)) if index not in places.values()]
    places |= zip((target for target in targets if target not in places), left, strict=True)
    return tuple(places[name] for name in stored)


def loss(layout: str, stored: Sequence[str], lossy: bool, where: str) -> str:
    """What a file loses that stores a layout as the positions `stored`, for a warning; "" if nothing.

    stored: () if the file names no positions. lossy: whether its coding cuts the low-frequency channel.
    where: the file's extension.
    """
    names, known = positions(layout), ".wav and .flac"
    if names == tuple(stored):
        return ""
    if not stored:
        return f"layout {layout} ({' '.join(names)}) is not kept: {where} names no speakers; {known} do"
    order, became = place(layout, stored), from_positions(stored)[0]
    if names:
        pairs = [(names[index], name) for index, name in zip(order, stored, strict=True) if names[index] != name]
        cut = ", with low frequencies alone" if lossy and any(new == "LFE" for _, new in pairs) else ""
        moved = ", ".join(f"{old} is stored as {new}" for old, new in pairs)
        return f"layout {layout} becomes {became} in {where}: {moved}{cut}"
    if not lossy or "LFE" not in stored:
        return ""
    channel = f"channel {1 + order[list(stored).index('LFE')]} keeps low frequencies alone"
    return (
        f"{channel}: {where} stores it as the LFE of {became}, since the input names no speakers; {known} keep it whole"
    )
