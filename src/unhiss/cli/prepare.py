"""`unhiss prepare`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unhiss.cli.parameters import FolderOrUrl, LocalPath

if TYPE_CHECKING:
    from unhiss.data.prepare import ClipSource
    from unhiss.data.shards import QualityRater
    from unhiss.data.store import Store
    from unhiss.fleet.mapping import Fleet
    from unhiss.remote import RemotePath
    from unhiss.settings import MixConfig

EXAMPLES = """
\b
unhiss prepare --speech common-voice:cv-corpus/ --noise urbansound8k:UrbanSound8K/ -o dataset/
unhiss prepare --speech folder:my-voices/ --noise synth:wind,siren=120 --keep-silence -o dataset/
unhiss prepare … --pairs 2000 --wav pairs/             noisy/clean WAV pairs as well
unhiss prepare … --spectrograms frames/ --split 21000/1179
unhiss prepare --speech folder:s3://bucket/voices/ --noise folder:https://host/noise/ -o s3://bucket/dataset/

A corpus is NAME:PATH[:PART], PATH a folder or a URL; names: common-voice, voxceleb1, librispeech,
urbansound8k, esc50, musan, demand, pairs, folder. Synthetic noise needs no corpus: synth:KIND, of wind, rain,
hum, siren, breathing, thuds, knocks, coloured, engine, drill, jackhammer, air_conditioner, car_horn, alarm,
bang, keyboard, clicks, music.
A run that was interrupted is resumed by the same command.
"""


ADD = {
    "noise": "Add --noise NAME:PATH, or synthetic noise, which needs no recordings: --noise synth:wind,rain,hum,siren",
    "speech": "Add --speech NAME:PATH",
}  # role -> what to do for it


class Finite(click.FloatRange):
    """A finite number within limits: NaN would limit nothing."""

    def convert(self, value: Any, parameter: Any, context: Any) -> float:
        if not math.isfinite(click.FLOAT.convert(value, parameter, context)):
            self.fail(f"{value} is no number to compare with", parameter, context)
        number: float = super().convert(value, parameter, context)
        return number


@click.command("prepare", epilog=EXAMPLES)
@click.option("--speech", multiple=True, metavar="NAME:PATH[:PART]", help="Clean speech; may be repeated.")
@click.option("--noise", multiple=True, metavar="NAME:PATH[:PART]", help="Noise; may be repeated.")
@click.option("-o", "--output", required=True, type=FolderOrUrl(), help="Folder of the data set, local or on s3://….")
@click.option("--sample-rate", type=click.IntRange(1000), default=22050, show_default=True, help="Hz of all clips.")
@click.option("--keep-silence", is_flag=True, help="Keep silent frames.")
@click.option("--max-seconds", type=Finite(1), default=10.0, show_default=True,
              help="Longest clip of speech; longer recordings are cut at their silences.")  # fmt: skip
@click.option("--drop-long", is_flag=True, help="Leave longer recordings of speech out, as the reference does.")
@click.option("--min-snr", type=Finite(-100, 100), help="Leave speech of a lower estimated SNR out, in dB.")
@click.option("--min-dnsmos", type=Finite(1, 5), help="Leave speech of a lower DNSMOS OVRL out (unhiss[eval]).")
@click.option("--commercial-only", is_flag=True, help="Leave clips out whose licence bars commercial use.")
@click.option("--valid-share", type=Finite(0, 0.5), default=0.05, show_default=True,
              help="Share of clips used for validation, where the corpus has no division of its own.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Determines splits and mixtures.")
@click.option("--pairs", type=click.IntRange(1), help="Also make this many noisy/clean pairs, with --wav.")
@click.option("--wav", type=LocalPath(path_type=Path), help="Folder of the pairs.")
@click.option(
    "--spectrograms", type=LocalPath(path_type=Path), help="Also make 128 x 128 frames as arrays in this folder."
)
@click.option("--split", default="21000/1179", show_default=True, help="Frames for training/validation.")
@click.option("--snr", default="-5:20", show_default=True, help="Range of SNRs of pairs and frames, in dB.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes; one a processor if not given.")
@click.option("--ray", metavar="ADDRESS", help="Run on Ray: local, or a cluster's auto or HOST:PORT.")
def command(
    speech: tuple[str, ...], noise: tuple[str, ...], output: Path | RemotePath, pairs: int | None, wav: Path | None,
    spectrograms: Path | None, split: str, snr: str, seed: int, jobs: int | None, ray: str | None, **settings: Any,
) -> None:  # fmt: skip
    """Turn corpora into a data set to train on.

    Loads to mono, resamples, removes silent frames, makes splits in which no speaker, video, fold or source
    recording is in two, and writes memory-mapped shards, a manifest and a card with plots.
    """
    from unhiss.data.output_folder import refuse_foreign

    if (pairs is None) != (wav is None):
        raise click.UsageError("--pairs COUNT and --wav DIR go together")
    if (wav or spectrograms) and not (speech and noise):
        raise click.UsageError("mixtures need both: give at least one --speech and one --noise")
    counts, config = _frame_counts(split), _mix_config(snr)
    folders = {"data set": output, "set of pairs": wav, "set of spectrograms": spectrograms}
    local = [folder.absolute() for folder in folders.values() if isinstance(folder, Path)]
    if len(set(local)) < len(local):
        raise click.UsageError("-o, --wav and --spectrograms need a folder each")
    for what, folder in folders.items():
        if folder:
            refuse_foreign(folder, what)
    from unhiss.data import mixture_files
    from unhiss.fleet.mapping import Fleet

    fleet = Fleet(jobs, ray)
    store = _prepare(_sources(speech, noise), output, seed, fleet, **settings)
    _print_summary(store, {"speech": speech, "noise": noise})
    if wav and pairs:
        _write_mixtures("noisy/clean pairs", pairs, mixture_files.write_pairs, store, wav, pairs, config, seed, fleet)
    if spectrograms:
        total, write = sum(counts.values()), mixture_files.write_spectrograms
        _write_mixtures("spectrograms", total, write, store, spectrograms, counts, config, seed, fleet)
    click.echo(f"ready: {output} (card: {output}/card.md)")


def _sources(speech: tuple[str, ...], noise: tuple[str, ...]) -> list[ClipSource]:
    if not speech and not noise:
        raise click.UsageError("give at least one --speech or --noise")
    return [_source(spec, role) for role, specs in (("speech", speech), ("noise", noise)) for spec in specs]


def _source(spec: str, role: str) -> ClipSource:
    from unhiss.cli.terminal import ProgressBar
    from unhiss.data import remote_corpus, synth
    from unhiss.data.corpora import parse_spec
    from unhiss.data.prepare import ClipSource

    if spec.startswith("synth:"):
        if role == "speech":
            raise click.UsageError(f"{spec} is noise; give it to --noise")
        return ClipSource(spec, Path("synth"), list(synth.clips(spec.removeprefix("synth:"))))
    corpus, path, part = parse_spec(spec, role)
    if isinstance(path, Path):
        return ClipSource(spec, path, corpus.read(path, part, role))
    with ProgressBar(f"listing {path}"):
        return remote_corpus.read_remote(spec, corpus, path, part, role)


def _prepare(
    sources: list[ClipSource], output: Path | RemotePath, seed: int, fleet: Fleet, *, min_snr: float | None,
    min_dnsmos: float | None, valid_share: float, **settings: Any,
) -> Store:  # fmt: skip
    from unhiss.cli.terminal import ProgressBar
    from unhiss.data.prepare import prepare
    from unhiss.data.shards import Preprocessing

    preprocessing = Preprocessing(min_snr_db=min_snr, min_mos=min_dnsmos, **settings)
    with ProgressBar("preparing", unit="clips") as bar:
        return prepare(
            sources, output, preprocessing, valid_share=valid_share, seed=seed, fleet=fleet, rater=_rater(min_dnsmos),
            progress=bar.update,
        )  # fmt: skip


def _print_summary(store: Store, specs_of: dict[str, tuple[str, ...]]) -> None:
    """Print what is in the set, what was left out, and what it lacks for a training.

    Raises DataError if a role was asked for and all its clips were left out.
    """
    from unhiss.cli.set_summary import print_summary
    from unhiss.errors import DataError

    print_summary(store)
    for role, specs in specs_of.items():
        if specs and role not in {role for role, _ in store.parts}:
            raise DataError(
                f"no {role} is left of {', '.join(specs)}; {store.folder}/rejected.csv says why: "
                "give another source or a milder limit, and another -o"
            )
        if not specs:
            click.echo(
                f"note: the set has no {role}, and no model can be trained on it alone: unhiss train mixes speech with"
                f" noise. {ADD[role]}; or prepare a set of {role} and join both by unhiss data merge", err=True,
            )  # fmt: skip
        elif (role, "valid") not in store.parts:
            click.echo(
                f"note: no clip of {role} is left for validation, and unhiss train needs one; more clips, a larger"
                " --valid-share or another --seed help", err=True,
            )  # fmt: skip


def _rater(min_dnsmos: float | None) -> QualityRater | None:
    if min_dnsmos is None:
        return None
    from unhiss.score.dnsmos import model_file, overall

    model_file()  # reports a missing extra before any work
    return overall


def _frame_counts(split: str) -> dict[str, int]:
    """Frames of each split, from such as 21000/1179."""
    try:
        train, valid = (int(part) for part in split.split("/"))
    except ValueError as error:
        raise click.UsageError(f"--split {split}: expected TRAINING/VALIDATION, such as 21000/1179") from error
    if min(train, valid) < 0 or train + valid == 0:
        raise click.UsageError(f"--split {split}: expected counts of frames, such as 21000/1179")
    return {"train": train, "valid": valid}


def _mix_config(snr: str) -> MixConfig:
    from unhiss.settings import MixConfig

    try:
        low, high = (float(part) for part in snr.split(":"))
    except ValueError as error:
        raise click.UsageError(f"--snr {snr}: expected LOW:HIGH in dB, such as -5:20") from error
    if not -100 <= low <= high <= 100:
        raise click.UsageError(f"--snr {snr}: expected LOW:HIGH within -100 and 100 dB, such as -5:20")
    return MixConfig(snr_db=(low, high))


def _write_mixtures(
    what: str, total: int, write: Callable[..., dict[str, int]], store: Store, folder: Path, *arguments: Any
) -> None:
    """Write pairs or spectrograms with a progress bar, then print how many."""
    from unhiss.cli.terminal import ProgressBar

    with ProgressBar("mixing", total, unit=what) as bar:
        counts = write(store, folder, *arguments, bar.update)
    shares = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    click.echo(f"{sum(counts.values()):,} {what} in {folder} ({shares})")
