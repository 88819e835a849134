"""`hush prepare`."""

from __future__ import annotations

from pathlib import Path

import click

EXAMPLES = """
\b
hush prepare --speech common-voice:cv-corpus/ --noise urbansound8k:UrbanSound8K/ -o dataset/
hush prepare --speech folder:my-voices/ --noise synth:wind,siren=120 --keep-silence -o dataset/
hush prepare … --pairs 2000 --wav pairs/             the reference's noisy/clean WAV pairs
hush prepare … --spectrograms frames/ --split 21000/1179

A corpus is NAME:PATH[:PART]; names: common-voice, voxceleb1, librispeech, urbansound8k, esc50, musan,
demand, pairs, folder. Noise can be made from equations: synth:wind,rain,hum,siren,breathing,thuds,knocks,coloured.
Interrupted at any moment, the same command carries on.
"""


@click.command("prepare", epilog=EXAMPLES)
@click.option("--speech", multiple=True, metavar="NAME:PATH[:PART]", help="Clean speech; may be given again.")
@click.option("--noise", multiple=True, metavar="NAME:PATH[:PART]", help="Noise; may be given again.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the data set.")
@click.option("--sample-rate", default=22050, show_default=True, help="Hz of all clips.")
@click.option("--keep-silence", is_flag=True, help="Leave silent frames in.")
@click.option("--max-seconds", default=10.0, show_default=True, help="Leave longer clips of speech out.")
@click.option("--min-snr", type=float, help="Leave speech of a lower estimated SNR out, in dB.")
@click.option("--min-dnsmos", type=float, help="Leave speech of a lower DNSMOS OVRL out (hush[eval]).")
@click.option("--valid-share", default=0.05, show_default=True, help="Share of clips kept for validation.")
@click.option("--seed", default=0, show_default=True, help="Decides splits and mixtures.")
@click.option("--pairs", type=int, help="Also make this many noisy/clean pairs, with --wav.")
@click.option("--wav", type=click.Path(path_type=Path), help="Folder of the pairs.")
@click.option("--spectrograms", type=click.Path(path_type=Path), help="Also make 128 x 128 frames as arrays here.")
@click.option("--split", default="21000/1179", show_default=True, help="Frames for training/validation.")
@click.option("--snr", default="-5:20", show_default=True, help="Range of SNRs of pairs and frames, in dB.")
@click.option("-j", "--jobs", type=int, help="Processes; all cores if not given.")
def command(speech, noise, output, sample_rate, keep_silence, max_seconds, min_snr, min_dnsmos, valid_share,
            seed, pairs, wav, spectrograms, split, snr, jobs) -> None:  # fmt: skip
    """Turn corpora into a data set to train on.

    Loads to mono, resamples, removes silent frames, splits without tearing a speaker, video, fold or
    source recording apart, and writes memory-mapped shards, a manifest and a card with plots.
    """
    from hush.cli.screen import progress
    from hush.data.prepare import prepare
    from hush.data.shards import Cleaning

    extra = _extra(pairs, wav, spectrograms, split, snr, seed)
    sources = _sources(speech, noise)
    cleaning = Cleaning(
        sample_rate=sample_rate, keep_silence=keep_silence, max_seconds=max_seconds,
        min_snr_db=min_snr, min_mos=min_dnsmos,
    )  # fmt: skip
    with progress("clips") as bar:
        task = bar.add_task("preparing")
        store = prepare(
            sources, output, cleaning, valid_share=valid_share, seed=seed, jobs=jobs, rater=_rater(min_dnsmos),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    for part, entry in sorted(store.settings["parts"].items()):
        click.echo(f"{part:14} {entry['clips']:7,} clips {entry['hours']:8.2f} h")
    for reason, count in store.settings["rejected"].items():
        click.echo(f"left out: {count} {reason} (listed in {output}/rejected.csv)")
    for line in extra(store):
        click.echo(line)
    click.echo(f"ready: {output} (card: {output}/card.md)")


def _sources(speech: tuple[str, ...], noise: tuple[str, ...]) -> list:
    from hush.data import synth
    from hush.data.corpora import parse
    from hush.data.prepare import Source

    if not speech and not noise:
        raise click.UsageError("give at least one --speech or --noise")
    sources = []
    for role, specs in (("speech", speech), ("noise", noise)):
        for spec in specs:
            if spec.startswith("synth:"):
                sources.append(Source(spec, Path("synth"), list(synth.clips(spec.removeprefix("synth:")))))
                continue
            corpus, path, part = parse(spec, role)
            sources.append(Source(spec, path, list(corpus.read(path, part, role))))
    return sources


def _rater(min_dnsmos: float | None):
    if min_dnsmos is None:
        return None
    from hush.errors import need
    from hush.score.dnsmos import overall

    need("eval", "speechmos")
    return overall


def _extra(pairs, wav, spectrograms, split, snr, seed):
    """Check what is asked besides the set, before any work, and return the function that makes it."""
    from hush.config import MixConfig

    if (pairs is None) != (wav is None):
        raise click.UsageError("--pairs COUNT and --wav DIR go together")
    try:
        train, valid = (int(part) for part in split.split("/"))
        low, high = (float(part) for part in snr.split(":"))
    except ValueError as error:
        raise click.UsageError(f"--split {split} or --snr {snr}; expected such as 21000/1179 and -5:20") from error
    config = MixConfig(snr_db=(low, high))

    def make(store):
        from hush.cli.screen import progress
        from hush.data.material import write_pairs, write_spectrograms

        with progress() as bar:
            if wav:
                task = bar.add_task("pairs", total=pairs)
                counts = write_pairs(store, wav, pairs, config, seed, lambda n: bar.update(task, completed=n))
                yield f"{sum(counts.values())} noisy/clean pairs in {wav} ({_split(counts)})"
            if spectrograms:
                task = bar.add_task("spectrograms", total=train + valid)
                wanted = {"train": train, "valid": valid}
                counts = write_spectrograms(
                    store, spectrograms, wanted, config, seed, lambda n: bar.update(task, completed=n)
                )
                yield f"{sum(counts.values())} noisy/clean 128 x 128 spectrograms in {spectrograms} ({_split(counts)})"

    return make


def _split(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
