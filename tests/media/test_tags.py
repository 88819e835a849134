"""Metadata is copied byte for byte, and the audio stays the same."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import tagged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unhiss.media import tags

KINDS = {
    "wav": ("WAV", "PCM_16"), "wavex": ("WAVEX", "PCM_24"), "aiff": ("AIFF", "PCM_16"), "aifc": ("AIFF", "FLOAT"),
    "rf64": ("RF64", "PCM_16"), "u8": ("WAV", "PCM_U8"), "flac": ("FLAC", "PCM_24"), "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
CHUNKED = ["wav", "wavex", "aiff", "aifc", "u8"]
RANDOM = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REPLAYGAIN = b"REPLAYGAIN_TRACK_GAIN=-6.48 dB"
chunk_names = st.sampled_from(
    [b"bext", b"iXML", b"cue ", b"smpl", b"id3 ", b"cart", b"axml", b"_PMX", b"ANNO", b"NAME"]
)
chunk_lists = st.lists(st.tuples(chunk_names, st.binary(min_size=5, max_size=300)), max_size=6)
texts = st.lists(
    st.tuples(st.sampled_from([b"TITLE", b"Artist", b"x y", b"LYRICS"]), st.binary(max_size=700)), max_size=6
).map(lambda pairs: [name + b"=" + text for name, text in pairs])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Kind -> the bytes of a file without tags."""
    folder = tmp_path_factory.mktemp("plain")
    return {name: tagged.sound(folder / name, *kind).read_bytes() for name, kind in KINDS.items()}


def copied(folder: Path, source: bytes, written: bytes, *, in_place: bool = True) -> bytes:
    """The target after `copy`; asserts that its audio is the same, and that no other file is left."""
    one, other = folder / "source", folder / "written"
    one.write_bytes(source)
    other.write_bytes(written)
    before = tagged.samples(other)
    tags.copy(one, other, in_place=in_place)
    np.testing.assert_array_equal(tagged.samples(other), before)
    assert sorted(path.name for path in folder.iterdir()) == ["source", "written"]
    assert one.read_bytes() == source
    return other.read_bytes()


@pytest.mark.parametrize("kind", CHUNKED)
@given(before=chunk_lists, behind=chunk_lists)
@RANDOM
def test_any_chunks_are_copied(
    kind: str, before: list[tagged.Chunk], behind: list[tagged.Chunk], plain: dict[str, bytes], tmp_path: Path
) -> None:
    source = tagged.with_chunks(plain[kind], before, behind)
    found = copied(tmp_path, source, plain[kind])
    assert tagged.read_chunks(found) == [*tagged.read_chunks(plain[kind]), *before, *behind]
    assert struct.unpack_from(tagged.order(found) + "I", found, 4) == (len(found) - 8,)


def test_a_sound_of_odd_size_without_padding_is_padded_first(plain: dict[str, bytes], tmp_path: Path) -> None:
    odd = plain["u8"][:-1]
    assert len(odd) % 2
    found = copied(tmp_path, tagged.with_chunks(plain["wav"], [(b"iXML", b"<a/>")], []), odd)
    assert tagged.read_chunks(found) == [*tagged.read_chunks(plain["u8"]), (b"iXML", b"<a/>")]


def test_a_64_bit_wav_takes_the_chunks_of_a_plain_one(plain: dict[str, bytes], tmp_path: Path) -> None:
    source = tagged.with_chunks(plain["wav"], [(b"iXML", b"<a/>")], [])
    found = copied(tmp_path, source, plain["rf64"])
    assert found[12:16] == b"ds64"
    assert struct.unpack_from("<Q", found, 20) == (len(found) - 8,)
    assert found.endswith(b"iXML\x04\0\0\0<a/>")


def test_text_tags_of_a_wav_are_read_by_libsndfile(plain: dict[str, bytes], tmp_path: Path) -> None:
    info = b"INFO" + struct.pack("<4sI6s", b"INAM", 6, b"Title\0") + struct.pack("<4sI4s", b"IART", 3, b"Me\0\0")
    copied(tmp_path, tagged.with_chunks(plain["wav"], [(b"LIST", info)], []), plain["wav"])
    with sf.SoundFile(tmp_path / "written") as file:
        assert (file.title, file.artist) == ("Title", "Me")


@pytest.mark.parametrize("name", [b"cue ", b"smpl", b"LIST"])
def test_markers_stay_only_where_samples_keep_their_numbers(
    name: bytes, plain: dict[str, bytes], tmp_path: Path
) -> None:
    marker, other = (name, b"adtl" + bytes(20)), (b"iXML", b"<a/>")
    source = tagged.with_chunks(plain["wav"], [marker], [other])
    assert tagged.read_chunks(copied(tmp_path, source, plain["wav"]))[-2:] == [marker, other]
    found = tagged.read_chunks(copied(tmp_path, source, plain["wav"], in_place=False))
    assert found == [*tagged.read_chunks(plain["wav"]), other]


@pytest.mark.parametrize(("version", "kept"), [(1, True), (2, False)])
def test_the_loudness_of_a_broadcast_chunk_is_cleared(
    version: int, kept: bool, plain: dict[str, bytes], tmp_path: Path
) -> None:
    loudness = struct.pack("<5h", -2300, 500, -100, -1800, -2000)
    chunk = b"d" * 346 + struct.pack("<H", version) + b"u" * 64 + loudness + bytes(180) + b"A=PCM,F=48000"
    found = tagged.read_chunks(copied(tmp_path, tagged.with_chunks(plain["wav"], [(b"bext", chunk)], []), plain["wav"]))
    expected = loudness if kept else b"\xff\x7f" * 5
    assert found[-1] == (b"bext", chunk[:412] + expected + chunk[422:])


@given(comments=texts, image=st.binary(max_size=3000), padding=st.integers(0, 50))
@RANDOM
def test_any_flac_metadata_is_copied(
    comments: list[bytes], image: bytes, padding: int, plain: dict[str, bytes], tmp_path: Path
) -> None:
    others = [(6, tagged.picture(image)), (2, b"riff1234")]
    source = tagged.with_flac_blocks(
        plain["flac"], [(1, bytes(padding)), (4, tagged.comment_block([*comments, REPLAYGAIN])), *others]
    )
    (info, texts, *rest), frames = tagged.flac_blocks(copied(tmp_path, source, plain["flac"]))
    own, own_frames = tagged.flac_blocks(plain["flac"])
    assert (info, rest, frames) == (own[0], others, own_frames)
    assert tagged.read_comments(texts[1]) == (tagged.read_comments(own[1][1])[0], comments)


@pytest.mark.parametrize(("kind", "mark", "end"), [("ogg", b"\x03vorbis", b"\x01"), ("opus", b"OpusTags", b"")])
@given(comments=texts, image=st.sampled_from([0, 1, 250, 64_900, 65_025, 200_000]))
@RANDOM
def test_any_vorbis_comments_are_copied(
    kind: str, mark: bytes, end: bytes, comments: list[bytes], image: int, plain: dict[str, bytes], tmp_path: Path
) -> None:
    cover = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(tagged.picture(bytes(range(250)) * (image // 250)))
    packet = mark + tagged.comment_block([REPLAYGAIN, *comments, b"ENCODER=x", cover], b"v" * (image % 250)) + end
    source = tagged.with_comment_packet(plain[kind], packet)
    found, ends = tagged.ogg_packets(copied(tmp_path, source, plain[kind]))
    own, _ = tagged.ogg_packets(plain[kind])
    heads = 2 if kind == "opus" else 3
    assert [found[0], *found[2:]] == [own[0], *own[2:]]
    assert ends[heads - 1] < ends[heads], "sound begins on a page of its own"
    vendor, texts = tagged.read_comments(found[1][len(mark) :])
    assert (vendor, texts) == (tagged.read_comments(own[1][len(mark) :])[0], [*comments, cover])
    assert found[1].endswith(end)


@pytest.mark.parametrize("version", [2, 3, 4])
@given(image=st.integers(0, 40_000).map(bytes), padding=st.integers(0, 60), gain=st.booleans())
@RANDOM
def test_id3_tags_are_copied(
    version: int, image: bytes, padding: int, gain: bool, plain: dict[str, bytes], tmp_path: Path
) -> None:
    cut = slice(3 if version == 2 else 4)
    kept = [(b"TT2 " if version == 2 else b"TIT2", b"\3Title"), (b"PIC " if version == 2 else b"APIC", image)]
    wide = "REPLAYGAIN_TRACK_GAIN\0-6 dB".encode("utf-16")
    lost = [(b"TXX " if version == 2 else b"TXXX", b"\1" + wide), (b"TSS " if version == 2 else b"TSSE", b"\0LAME")]
    frames = [(name[cut], content) for name, content in (kept + lost if gain else kept)]
    old = b"TAG" + b"t" * 125
    tag = tagged.id3(frames, version, padding)
    found = copied(tmp_path, tag + plain["mp3"] + old, plain["mp3"])
    read, size = tagged.read_id3(found)
    assert read == frames[:2]
    assert found[size:] == plain["mp3"] + old
    assert gain or found[:size] == tag


def test_an_ape_tag_keeps_all_but_its_gains(plain: dict[str, bytes], tmp_path: Path) -> None:
    def ape(*pairs: tuple[bytes, bytes]) -> bytes:
        items = b"".join(struct.pack("<II", len(text), 0) + name + b"\0" + text for name, text in pairs)
        ends = [
            struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(items) + 32, len(pairs), f) for f in (0xA0000000, 1 << 31)
        ]
        return ends[0] + items + ends[1]

    source = plain["mp3"] + ape((b"Title", b"T"), (b"MP3GAIN_MINMAX", b"1"), (b"Cover", bytes(999)))
    assert copied(tmp_path, source, plain["mp3"]) == plain["mp3"] + ape((b"Title", b"T"), (b"Cover", bytes(999)))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32))
@RANDOM
def test_damaged_metadata_does_no_harm(kind: str, seed: int, plain: dict[str, bytes], tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    source = bytearray(richly_tagged(kind, plain[kind]))
    for position in rng.integers(0, min(len(source), 1500), rng.integers(1, 9)):
        source[position] = rng.choice([0, 1, 0x7F, 0xFF, int(rng.integers(256))])
    cut = rng.choice([len(source), int(rng.integers(len(source)))])
    copied(tmp_path, bytes(source[:cut]), plain[kind])


def richly_tagged(kind: str, data: bytes) -> bytes:
    tag = tagged.id3([(b"TXXX", b"\0replaygain_x\0001"), (b"TIT2", b"\0T"), (b"APIC", bytes(200))], 3, 9)
    if kind == "flac":
        return tagged.with_flac_blocks(data, [(4, tagged.comment_block([b"A=b", REPLAYGAIN])), (6, bytes(99))])
    if kind == "ogg":
        return tagged.with_comment_packet(data, b"\x03vorbis" + tagged.comment_block([b"A=b", REPLAYGAIN]) + b"\1")
    if kind == "opus":
        return tagged.with_comment_packet(data, b"OpusTags" + tagged.comment_block([b"A=b", REPLAYGAIN]))
    if kind == "mp3":
        return tag + data + b"TAG" + bytes(125)
    if kind == "rf64":
        return data + b"id3 " + struct.pack("<I", len(tag)) + tag
    return tagged.with_chunks(data, [(b"bext", bytes(602)), (b"ID3 ", tag)], [(b"LIST", b"INFO" + bytes(30))])


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_the_recording_unchanged(
    kind: str, plain: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> None:
        if hasattr(words[-1], "write"):
            words[-1].write(b"the start of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tags, "write_pieces", full)
    monkeypatch.setattr(tags.ogg, "to_pages", full)
    with pytest.raises(OSError, match="No space"):
        copied(tmp_path, richly_tagged(kind, plain[kind]), plain[kind])
    assert (tmp_path / "written").read_bytes() == plain[kind]
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_different_families_stay_as_they_are(plain: dict[str, bytes], tmp_path: Path) -> None:
    for one in KINDS:
        for other in KINDS:
            if tags._FAMILIES.get(KINDS[one][0], KINDS[one][0]) != tags._FAMILIES.get(KINDS[other][0], KINDS[other][0]):
                assert copied(tmp_path, richly_tagged(one, plain[one]), plain[other]) == plain[other]
