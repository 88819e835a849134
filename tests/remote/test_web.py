"""Corpora on a faulty web server: with a list of its files, and with a table alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from faulty_web import Web

from unhiss.data import remote_corpus
from unhiss.data.corpora import parse_spec
from unhiss.data.prepare import ClipSource, prepare
from unhiss.data.shards import Preprocessing
from unhiss.errors import CorpusError, UnhissError
from unhiss.fleet.mapping import Fleet
from unhiss.remote import RemotePath, _filesystem

pytest.importorskip("aiohttp", reason="pip install 'unhiss[remote]'")


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Voices with and without a table."""
    monkeypatch.setattr("unhiss.remote.BACKOFF_S", 0.01)
    root = tmp_path / "web"
    rng = np.random.default_rng(3)
    names = [f"plain/{who}/{number} #?%41.wav" for who in "abc" for number in range(2)]
    for name in (*names, *(f"cv/en/clips/{number}.mp3" for number in range(4))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(root / name, rng.uniform(-0.3, 0.3, int(rng.integers(20_000, 40_000))), 16000)
    rows = "".join(f"speaker{number}\t{number}.mp3\tsentence {number}\n" for number in range(4))
    (root / "cv" / "en" / "train.tsv").write_text(f"client_id\tpath\tsentence\n{rows}", encoding="utf-8")
    served = Web(root)
    yield served
    served.close()
    _filesystem.cache_clear()


def sources(spec: str, role: str = "speech") -> list[ClipSource]:
    corpus, path, part = parse_spec(spec, role)
    if isinstance(path, RemotePath):
        return [remote_corpus.read_remote("said", corpus, path, part, role)]
    return [ClipSource("said", path, list(corpus.read(path, part, role)))]


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "plan.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def both(web: Web, name: str, below: str, tmp_path: Path) -> list[dict[str, bytes]]:
    """The sets of a corpus, read here and from the web. Their plans differ: the web's does not know sizes."""
    places = {"here": web.folder / below, "there": web.url / below}
    return [
        files(
            prepare(sources(f"{name}:{place}"), tmp_path / to, Preprocessing(), valid_share=0.3, fleet=Fleet(1)).folder
        )
        for to, place in places.items()
    ]


def test_a_folder_that_is_listed_gives_the_set_it_gives_here(web: Web, tmp_path: Path) -> None:
    here, there = both(web, "folder", "plain", tmp_path)
    assert here == there and len([name for name in here if name.endswith(".npy")]) == 2


def test_links_upwards_and_out_are_not_followed(web: Web) -> None:
    links = '<a href="/cv/">up</a> <a href="?C=M;O=A">order</a> <a href="../cv/">too</a> <a href="c/">c</a>'
    (web.folder / "plain" / "index.html").write_text(f'<html>{links}<a href="http://example.org/x.wav">x</a></html>')
    assert {place.parts[0] for place in (web.url / "plain").sizes()} == {"c"}
    assert not [path for path in web.asked if not path.startswith("/plain")]


def test_a_table_will_do_where_nothing_is_listed(web: Web, tmp_path: Path) -> None:
    web.lists = False
    here, there = both(web, "common-voice", "cv/en", tmp_path)
    assert here == there


def test_a_recording_that_the_table_names_in_vain_is_listed_as_missing(web: Web, tmp_path: Path) -> None:
    web.lists = False
    (web.folder / "cv" / "en" / "clips" / "2.mp3").unlink()
    store = prepare(sources(f"common-voice:{web.url}/cv/en"), tmp_path / "set", Preprocessing(), fleet=Fleet(1))
    assert store.settings["rejected"] == {"missing": 1} and len(store.rows) == 3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("folder:{}/plain", r"/plain: the server gives no list of its files \(403.*\), and there is no manifest.csv;"),
        ("common-voice:{}/cv", r"/cv: the server gives no list .* no train.tsv or clip_durations.tsv; copy it here"),
        ("musan:{}/plain", r"the server gives no list .*, and there is no table that names them; copy it here"),
        ("folder:{}/nothing", r"the server gives no list of its files \(no such file; check the address\)"),
    ],
)
def test_what_names_no_file_is_said_to_do_so(web: Web, spec: str, said: str) -> None:
    web.lists = False
    with pytest.raises(CorpusError, match=said):
        sources(spec.format(web.url))


def test_a_server_that_stays_busy_ends_the_run_and_leaves_no_clip_out(web: Web, tmp_path: Path) -> None:
    found = sources(f"folder:{web.url}/plain")
    web.busy = True
    with pytest.raises(UnhissError, match=r"/plain/a/0%20%23%3F%2541.wav: 503.*\(tried 6 times\)"):
        prepare(found, tmp_path / "set", Preprocessing(), fleet=Fleet(1))
    with pytest.raises(UnhissError, match=r"/plain/: 503.*\(tried 6 times\)"):
        sources(f"folder:{web.url}/plain")
    web.busy = False
    assert len(prepare(found, tmp_path / "set", Preprocessing(), fleet=Fleet(1)).rows) == 6
