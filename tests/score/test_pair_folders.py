"""Folders of pairs: which files belong to them, and the error messages for invalid ones."""

import numpy as np
import pytest

from unhiss.errors import AudioError, CorpusError
from unhiss.media.writer import write
from unhiss.score.pairs import find_pairs


def by_id(folder):
    return {pair.id: pair for pair in find_pairs(folder)}


def test_pairs_come_in_the_manifests_order_with_its_columns(folder):
    pairs = find_pairs(folder)
    assert [pair.id for pair in pairs] == ["b", "a", "c"]
    assert pairs[1].metadata == {"speaker": "bob", "noise_kind": "siren", "snr_db": "-5"}
    noisy, clean, rate = pairs[0].load()
    assert clean is not None
    assert rate == 16_000 and noisy.shape == clean.shape == (73_600,) and noisy.dtype == np.float32


def test_without_a_manifest_pairs_come_by_name_without_metadata(folder):
    (folder / "manifest.csv").unlink()
    assert [(pair.id, pair.metadata) for pair in find_pairs(folder)] == [("a", {}), ("b", {}), ("c", {})]


def test_other_files_and_hidden_ones_are_not_recordings(folder):
    (folder / "clean" / "notes.txt").write_text("no audio")
    (folder / "noisy" / "._a.wav").write_bytes(b"resource fork of macOS")
    assert len(find_pairs(folder)) == 3


def test_the_two_sides_may_have_different_extensions(folder):
    audio = find_pairs(folder)[0].load()[1]
    assert audio is not None
    (folder / "clean" / "b.wav").unlink()
    write(folder / "clean" / "b.flac", audio, 16_000)
    assert np.shape(by_id(folder)["b"].load()[1]) == audio.shape


def delete_clean(folder):
    (folder / "clean" / "b.wav").unlink()


def delete_both(folder):
    delete_clean(folder)
    (folder / "noisy" / "b.wav").unlink()


def corrupt(folder):
    (folder / "noisy" / "b.wav").write_bytes(b"RIFF invalid")


def duplicate(folder):
    write(folder / "clean" / "b.flac", np.zeros(10, np.float32), 16_000)


def another_rate(folder):
    write(folder / "clean" / "b.wav", np.zeros(73_600, np.float32), 8_000)


def shorter(folder):
    write(folder / "clean" / "b.wav", np.zeros(73_599, np.float32), 16_000)


def stereo(folder):
    write(folder / "noisy" / "b.wav", np.zeros((2, 73_600), np.float32), 16_000)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (delete_clean, "no clean file"),
        (delete_both, "no noisy file"),
        (corrupt, r"noisy.b\.wav: not a readable recording"),
        (duplicate, r"more than one clean file: b\.flac, b\.wav"),
        (another_rate, "noisy is at 16000 Hz and clean at 8000 Hz"),
        (shorter, r"\(73600,\) and clean \(73599,\) differ"),
        (stereo, r"\(2, 73600\) and clean \(73600,\) differ"),
    ],
)
def test_an_invalid_pair_is_listed_and_loading_it_raises_the_reason(folder, damage, message):
    damage(folder)
    by_name = by_id(folder)
    assert set(by_name) == {"a", "b", "c"}
    with pytest.raises(AudioError, match=message):
        by_name["b"].load()
    by_name["a"].load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,snr_db\na,5\n", "first column must be 'id', found: name, snr_db"),
        ("", "first column must be 'id', found: none"),
        ("id,snr_db\na,5\na,6\n", "lists id 'a' twice"),
        (b"id,text\na,\xff\xfe\n", "cannot be read as CSV in UTF-8"),
    ],
)
def test_an_invalid_manifest_is_refused(folder, content, message):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "manifest.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        find_pairs(folder)


def test_a_folder_without_pairs_is_refused_with_the_expected_layout(tmp_path):
    with pytest.raises(CorpusError, match="nowhere is not a folder; a folder of pairs holds clean/ID"):
        find_pairs(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="has no clean/ and no noisy/; a folder of pairs holds"):
        find_pairs(tmp_path)
    (tmp_path / "clean").mkdir()
    with pytest.raises(CorpusError, match="has no noisy/; "):
        find_pairs(tmp_path)
    (tmp_path / "noisy").mkdir()
    with pytest.raises(CorpusError, match="holds no recordings"):
        find_pairs(tmp_path)


def test_a_truncated_side_is_refused_without_options_that_evaluate_does_not_have(folder):
    path = folder / "noisy" / "b.wav"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioError, match=r"b\.wav: truncated, .*; get a whole copy") as refused:
        by_id(folder)["b"].load()
    assert "strict" not in str(refused.value)
