"""Mozilla Common Voice: sentences read aloud by volunteers in many languages.

    cv-corpus-6.1-2020-12-11/       PATH may be this folder: all languages
      en/                           or one language
        train.tsv dev.tsv test.tsv validated.tsv …     client_id, path, sentence, …
        clip_durations.tsv          clip, duration[ms]  (newer releases)
        clips/common_voice_en_78545.mp3

Parts: train (default), dev, test, and validated, which contains all three and counts as training.
Groups, which stay in one split: speaker (client_id). Columns are looked up by name, so every release can be read.

Licence: CC0 1.0 (promise not to identify the speakers). Get it: https://commonvoice.mozilla.org/datasets
Citation: R. Ardila et al., "Common Voice: A Massively-Multilingual Speech Corpus", LREC 2020.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, listing, number, table
from unhiss.errors import CorpusError

SPLIT_OF_PART = {"train": "train", "dev": "valid", "test": "test", "validated": "train"}
SHORT_ID = 16  # digits of a client_id, which is all that some copies keep
QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def unquote(sentence: str) -> str:
    """A sentence without the quotes that CSV put around it; unmatched quotes stay.

    >>> unquote('"He saw ""x""."'), unquote('5" of snow'), unquote('"Go," he said, "now"')
    ('He saw "x".', '5" of snow', '"Go," he said, "now"')
    """
    match = QUOTED.fullmatch(sentence)
    return match[1].replace('""', '"') if match else sentence


def _is_language(folder: Path) -> bool:
    return (folder / "clips").is_dir() or any((folder / f"{part}.tsv").is_file() for part in SPLIT_OF_PART)


def _languages(path: Path, part: str) -> list[Path]:
    """Folders that contain the part's table: the path itself, or its sub-folders."""
    if _is_language(path):
        return [path]
    languages = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and _is_language(entry)]
    if not languages:
        raise CorpusError(f"{path} is not Common Voice: expected LANG/{part}.tsv; found: {listing(path)}")
    matching = [folder for folder in languages if (folder / f"{part}.tsv").is_file()]
    if not matching:
        tables = ", ".join(sorted({file.name for folder in languages for file in folder.glob("*.tsv")}))
        raise CorpusError(f"no language in {path} has a {part}.tsv; found: {tables or 'no tables'}")
    return matching


def _durations_ms(language: Path) -> dict[str, float | None]:
    file = language / "clip_durations.tsv"
    rows = table(file, ["clip", "duration[ms]"]) if file.is_file() else ()
    return {row["clip"]: number(row["duration[ms]"]) for row in rows}


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    for language in _languages(path, part):
        durations_ms = _durations_ms(language)
        for row in table(language / f"{part}.tsv", ["client_id", "path"]):
            # The first releases name clips without their extension.
            name = row["path"] if row["path"].lower().endswith(".mp3") else row["path"] + ".mp3"
            milliseconds = durations_ms.get(name)
            yield Clip(
                path=language / "clips" / name, kind=row["client_id"], split=SPLIT_OF_PART[part],
                groups=(group("Common Voice", "speaker", row["client_id"][:SHORT_ID] or name),), commercial_use=True,
                language=row.get("locale") or language.resolve().name, text=unquote(row.get("sentence", "")),
                seconds=None if milliseconds is None else milliseconds / 1000,
            )  # fmt: skip


CORPUS = Corpus(
    name="common-voice", role="speech", parts=tuple(SPLIT_OF_PART), licence="CC0 1.0", reader=_clips,
    tables=("{part}.tsv", "clip_durations.tsv"),
)  # fmt: skip
