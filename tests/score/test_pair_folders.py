"""What counts as a folder of pairs, and what each refusal says."""

import numpy as np
import pytest

from unhiss.errors import AudioError, CorpusError
from unhiss.media.writer import write
from unhiss.score.pairs import pairs


def by_id(folder):
    return {pair.id: pair for pair in pairs(folder)}


def test_pairs_come_in_the_manifests_order_with_its_columns(folder):
    found = pairs(folder)
    assert [pair.id for pair in found] == ["b", "a", "c"]
    assert found[1].facts == {"speaker": "bob", "noise_kind": "siren", "snr_db": "-5"}
    noisy, clean, rate = found[0].load()
    assert rate == 16_000 and noisy.shape == clean.shape == (73_600,) and noisy.dtype == np.float32


def test_without_a_manifest_pairs_come_by_name_without_facts(folder):
    (folder / "manifest.csv").unlink()
    assert [(pair.id, pair.facts) for pair in pairs(folder)] == [("a", {}), ("b", {}), ("c", {})]


def test_other_files_and_hidden_ones_are_not_recordings(folder):
    (folder / "clean" / "notes.txt").write_text("no audio")
    (folder / "noisy" / "._a.wav").write_bytes(b"what a Mac leaves behind")
    assert len(pairs(folder)) == 3


def test_the_two_sides_may_have_different_extensions(folder):
    audio = pairs(folder)[0].load()[1]
    (folder / "clean" / "b.wav").unlink()
    write(folder / "clean" / "b.flac", audio, 16_000)
    assert by_id(folder)["b"].load()[1].shape == audio.shape


def lose_clean(folder):
    (folder / "clean" / "b.wav").unlink()


def lose_both(folder):
    lose_clean(folder)
    (folder / "noisy" / "b.wav").unlink()


def corrupt(folder):
    (folder / "noisy" / "b.wav").write_bytes(b"RIFF nothing of use")


def double(folder):
    write(folder / "clean" / "b.flac", np.zeros(10, np.float32), 16_000)


def another_rate(folder):
    write(folder / "clean" / "b.wav", np.zeros(73_600, np.float32), 8_000)


def shorter(folder):
    write(folder / "clean" / "b.wav", np.zeros(73_599, np.float32), 16_000)


def stereo(folder):
    write(folder / "noisy" / "b.wav", np.zeros((2, 73_600), np.float32), 16_000)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lose_clean, "no clean file"),
        (lose_both, "no noisy file"),
        (corrupt, r"noisy.b\.wav: not a readable recording"),
        (double, r"more than one clean file: b\.flac, b\.wav"),
        (another_rate, "noisy is at 16000 Hz and clean at 8000 Hz"),
        (shorter, r"\(73600,\) and clean \(73599,\) differ"),
        (stereo, r"\(2, 73600\) and clean \(73600,\) differ"),
    ],
)
def test_a_pair_that_cannot_be_used_is_kept_and_says_why_when_loaded(folder, harm, says):
    harm(folder)
    found = by_id(folder)
    assert set(found) == {"a", "b", "c"}
    with pytest.raises(AudioError, match=says):
        found["b"].load()
    found["a"].load()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name,snr_db\na,5\n", "first column must be 'id', found: name, snr_db"),
        ("", "first column must be 'id', found: none"),
        ("id,snr_db\na,5\na,6\n", "lists id 'a' twice"),
        (b"id,text\na,\xff\xfe\n", "cannot be read as CSV in UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(folder, content, says):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "manifest.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=says):
        pairs(folder)


def test_a_folder_that_holds_no_pairs_is_told_what_was_expected(tmp_path):
    with pytest.raises(CorpusError, match="nowhere is not a folder; a folder of pairs holds clean/ID"):
        pairs(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="has no clean/ and no noisy/; a folder of pairs holds"):
        pairs(tmp_path)
    (tmp_path / "clean").mkdir()
    with pytest.raises(CorpusError, match="has no noisy/; "):
        pairs(tmp_path)
    (tmp_path / "noisy").mkdir()
    with pytest.raises(CorpusError, match="holds no recordings"):
        pairs(tmp_path)
