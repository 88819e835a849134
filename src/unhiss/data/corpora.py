"""All corpora unhiss can read, by the name the command line gives them."""

from pathlib import Path, PurePath

from unhiss.data import common_voice, demand, esc50, folder, librispeech, musan, pairs, urbansound8k, voxceleb
from unhiss.data.clips import Corpus
from unhiss.errors import WrongCorpus, nearest
from unhiss.remote import RemotePath, parse_path

MODULES = (common_voice, voxceleb, librispeech, urbansound8k, esc50, musan, demand, pairs, folder)
CORPORA: dict[str, Corpus] = {module.CORPUS.name: module.CORPUS for module in MODULES}


def parse_spec(spec: str, role: str = "") -> tuple[Corpus, Path | RemotePath, str]:
    """The reader, folder and part that `NAME:PATH[:PART]` means; PATH may be a URL.

    PATH may contain colons: only a part the corpus has, after the last one, counts as PART. Without one it
    is the corpus's default for the role. Raises CorpusError for an unknown name (the nearest is
    suggested), a missing path, and what can only be a mistyped part.

    >>> corpus, path, part = parse_spec("urbansound8k:/data/a:b:test")
    >>> corpus.name, path.as_posix(), part
    ('urbansound8k', '/data/a:b', 'test')
    """
    name, _, rest = spec.partition(":")
    if name not in CORPORA:
        raise WrongCorpus(f"no corpus {name!r} in {spec!r}; {nearest(name, list(CORPORA))}")
    corpus = CORPORA[name]
    if not rest:
        raise WrongCorpus(f"{spec!r} names no folder; expected {name}:PATH or {name}:PATH:{corpus.parts[0]}")
    head, _, tail = rest.rpartition(":")
    has_part = bool(head) and tail in corpus.parts
    path = parse_path(head if has_part else rest)
    if isinstance(path, Path):
        path = path.expanduser()
        if head and not has_part and not path.exists() and Path(head).expanduser().is_dir():
            raise WrongCorpus(f"{name} has no part {tail!r}; {nearest(tail, list(corpus.parts))}")
    return corpus, path, tail if has_part else corpus.default_part(role)


def without_folders(specs: list[str]) -> list[str]:
    """Corpora as a checkpoint names them: of each path only as much of its end as tells it from the others.

    The rest is about the machine that trained. Noise that is made has no path.

    >>> without_folders(["folder:/corpora/speech", "folder:/corpora/more/speech", "synth:wind=9"])
    ['folder:corpora/speech', 'folder:more/speech', 'synth:wind=9']
    """
    heads, paths = zip(*(spec.split(":", 1) for spec in specs), strict=True) if specs else ((), ())
    parts = [tuple(part for part in PurePath(path).parts if part != PurePath(path).anchor) for path in paths]
    return [
        spec if head == "synth" else f"{head}:{'/'.join(_ending(own, parts))}"
        for spec, head, own in zip(specs, heads, parts, strict=True)
    ]


def _ending(own: tuple[str, ...], every: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest end of a path that no other path has."""
    others = [parts for parts in every if parts != own]
    lengths = (count for count in range(1, len(own)) if all(parts[-count:] != own[-count:] for parts in others))
    return own[-next(lengths, len(own)) :]
