from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unhiss.data.clips import Clip, leaks
from unhiss.data.splits import connected_groups, refuse_leaks, split_off
from unhiss.errors import CorpusError


def clip(
    *groups: str, split: str = "train", role: str = "speech", flexible_split: bool = False, corpus: str = "c"
) -> Clip:
    return Clip(
        path=Path("+".join(groups)), corpus=corpus, role=role, kind="k", groups=groups, split=split, licence="CC0",
        commercial_use=True, flexible_split=flexible_split,
    )  # fmt: skip


def splits(clips: list[Clip], share: float = 0.0) -> list[str]:
    return [clip.split for clip in split_off(clips, share, seed=0)]


names = st.sampled_from([f"g{i}" for i in range(12)])
some_clips = st.lists(
    st.builds(
        clip,
        names,
        names,
        role=st.sampled_from(["speech", "noise"]),
        flexible_split=st.booleans(),
    ),
    max_size=40,
)


@given(some_clips, st.floats(0, 0.5), st.integers(0, 3))
def test_connected_clips_stay_in_one_split_whatever_the_groups(clips: list[Clip], share: float, seed: int) -> None:
    clips_split = split_off(clips, share, seed)
    assert not leaks(clips_split)
    assert [replace(clip, split="train") for clip in clips_split] == clips, "nothing but the split changes"


@given(some_clips, st.sampled_from(["valid", "test"]), st.integers(0, 11))
def test_flexible_clips_follow_a_division(clips: list[Clip], split: str, number: int) -> None:
    """All of one group are in `split` by their corpus's division; all others are flexible."""
    flexible = [replace(clip, flexible_split=True) for clip in clips]
    fixed = clip(f"g{number}", split=split)
    clips_split = split_off([*flexible, fixed], 0.1, seed=0)
    assert not leaks(clips_split)
    assert clips_split[-1].split == split


def test_groups_are_connected_through_others() -> None:
    clips = [clip("a"), clip("b"), clip("c"), clip("a", "b")]
    assert sorted(map(sorted, connected_groups(clips))) == [[0, 1, 3], [2]]


def test_flexible_clips_go_where_a_corpus_put_their_recording() -> None:
    clips = [
        clip("recording/1", split="test", role="noise"),
        clip("recording/1", "speaker/x", flexible_split=True),
        clip("speaker/x", flexible_split=True),
        clip("speaker/y", flexible_split=True),
    ]
    assert splits(clips) == ["test", "test", "test", "train"]


def test_a_corpus_own_division_is_never_changed_to_fit_another() -> None:
    clips = [clip("a", split="train"), clip("a", split="test", corpus="d")]
    assert splits(clips) == ["train", "test"]
    with pytest.raises(CorpusError, match=r"a in test \(d a\) and train \(c a\)"):
        refuse_leaks(split_off(clips, 0.1, 0))


def test_the_refusal_names_five_offenders_and_counts_the_rest() -> None:
    clips = [clip(f"s{i}", split=split) for i in range(8) for split in ("train", "valid")]
    with pytest.raises(CorpusError) as caught:
        refuse_leaks(clips)
    line = str(caught.value)
    assert line.startswith("8 group(s)")
    assert all(f"s{i} in train" in line for i in range(5))
    assert "and 3 more" in line
    assert "\n" not in line


def test_about_the_share_of_each_role_moves_to_validation() -> None:
    clips = [clip(f"{role}{i // 4}", role=role) for role in ("speech", "noise") for i in range(400)]
    clips_split = split_off(clips, 0.05, seed=3)
    for role in ("speech", "noise"):
        assert 20 <= sum(c.role == role and c.split == "valid" for c in clips_split) <= 23


def test_a_role_with_a_validation_part_of_its_own_is_left_as_it_is() -> None:
    clips = [*(clip(f"s{i}") for i in range(50)), clip("v", split="valid")]
    assert splits(clips, 0.1) == ["train"] * 50 + ["valid"]


def test_two_large_components_still_give_a_validation_part() -> None:
    clips = [clip("fold1") for _ in range(40)] + [clip("fold2") for _ in range(30)]
    assert splits(clips, 0.05) == ["train"] * 40 + ["valid"] * 30


def test_another_corpus_does_not_reshuffle_the_first() -> None:
    first = [clip(f"s{i}") for i in range(200)]
    more = [clip(f"t{i}") for i in range(200)]
    alone = {c.groups for c in split_off(first, 0.05, 0) if c.split == "valid"}
    joined = {c.groups for c in split_off(first + more, 0.05, 0) if c.split == "valid"}
    old, new = sorted((alone, {groups for groups in joined if groups[0].startswith("s")}), key=len)
    assert old <= new, "the order stays, only the cut moves"
    assert split_off(first, 0.05, 0) == split_off(first, 0.05, 0)
    assert split_off(first, 0.05, 0) != split_off(first, 0.05, 1)
