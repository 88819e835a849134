"""Tables of update_benchmarks.py about models: their designs, what they lose, and what they tell of speech."""

from __future__ import annotations

from typing import Any

from update_readme import table

from unhiss.score.registry import METRICS


def talkers(results: dict[str, Any]) -> str:
    rows = []
    for model, found in results.items():
        levels = [abs(change) for change in found["levels"].values()]
        cells = [f"{found[name][key]:.1f}" for name in ("second talker", "pitch") for key in ("mean", "worst")]
        rows.append([f"`{model}`", *cells, f"{max(levels):.2f}"])
    head = ["model", "second talker, dB", "worst", "500 to 800 Hz, dB", "worst", "levels, dB"]
    note = (
        "Active level lost by a talker 20 dB below the one before, and by voices raised in pitch; the greatest change\n"
        "of the mean SI-SDR of the dev pairs scaled from -60 to +20 dB."
    )
    return f"{table(head, rows)}\n\n{note}"


def speech_probability(results: dict[str, Any]) -> str:
    rows = [[f"`{name}`", *(f"{area:.3f}" for area in areas.values())] for name, areas in results.items()]
    note = "Area under the ROC curve over frames of 16 ms of the dev mixtures; labels: the activity of the clean side."
    return f"{table(['model', *next(iter(results.values()))], rows)}\n\n{note}"


def extremes(results: dict[str, Any]) -> str:
    metrics = list(next(iter(next(iter(results["snr_db"].values())).values())))
    rows = [
        [f"{snr_db} dB", f"`{system}`", *(f"{values[key]:.3f}" for key in metrics)]
        for snr_db, systems in results["snr_db"].items()
        for system, values in systems.items()
    ]
    return table(["SNR", "system", *(METRICS[key].title for key in metrics)], rows)


def designs(results: dict[str, Any]) -> str:
    compared = results["designs"]
    base = next(iter(compared.values()))["audio_s_per_s"]
    rows = [
        [name, f"{one['audio_s_per_s']:.0f}", f"{one['audio_s_per_s'] / base:.2f}", f"{one['valid_loss']:.4f}",
         f"{one['valid_snr_db']:.2f}"] for name, one in compared.items()
    ]  # fmt: skip
    head = ["design", "s of audio trained on per s", "× baseline", "validation loss", "SNR dB"]
    note = f"{results['minutes']:g} minutes each, {results['seeds']} seeds; [models/designs.md](models/designs.md)."
    return f"{table(head, rows)}\n\n{note}"


def variations(results: dict[str, Any]) -> str:
    without = results["without"]
    base = next(iter(without.values()))
    rows = [
        [name, f"{one['valid_loss']:.5f}", f"{one['valid_loss'] - base['valid_loss']:+.5f}",
         f"{one['valid_snr_db'] - base['valid_snr_db']:+.2f}"] for name, one in without.items()
    ]  # fmt: skip
    note = (
        f"{results['steps']} steps from `{results['init']}` without each in turn. The loss is over plain mixtures:\n"
        "what a variation does for recordings that are not plain does not show."
    )
    return f"{table(['without', 'validation loss', 'change', 'SNR dB, change'], rows)}\n\n{note}"
