"""What `unhiss prepare` and `unhiss data` print of a finished set: what is in it, what was cut, what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from unhiss.data.store import Store

KEPT_BY = {
    "long": "without --drop-long they are cut into pieces, with a larger --max-seconds more stay whole",
    "noisy": "a lower --min-snr keeps more",
    "poor": "a lower --min-dnsmos keeps more",
    "licence": "without --commercial-only they stay",
}  # reason -> the options that keep such clips
SHOWN_HOURS = 0.005  # what is not rounded to 0.00
NAMES = {"speech": "speakers", "noise": "kinds"}


def print_summary(store: Store) -> None:
    """Counts and hours of each part, then what was cut and what was left out."""
    settings = store.settings
    for part, entry in sorted(settings["splits"].items()):
        click.echo(f"{part:14} {entry['clips']:7,} clips {entry['hours']:8.2f} h")
    cut = settings.get("cut", {}).get("recordings")
    if cut:
        seconds = settings["preprocessing"].get("max_seconds")
        limit = f"{seconds:g} s" if isinstance(seconds, int | float) else "--max-seconds"
        click.echo(
            f"cut: {cut:,} recordings longer than {limit} into {settings['cut']['pieces']:,} clips, at their silences"
            " (--drop-long leaves them out)"
        )
    for reason, count in settings["rejected"].items():
        losses = settings.get("lost", {}).get(reason, {})
        what = [f"left out: {count:,} {reason}", *(part for role in losses for part in _loss(role, losses[role]))]
        advice = [KEPT_BY[reason]] if reason in KEPT_BY else []
        click.echo(f"{'; '.join([', '.join(what), *advice])} (listed in {store.folder}/rejected.csv)")


def _loss(role: str, loss: dict[str, Any]) -> Iterator[str]:
    """Hours of a role, and speakers or kinds that are gone with all their clips, where there is something to tell."""
    if loss["hours"] >= SHOWN_HOURS:
        yield f"{loss['hours']:.2f} h of {role}"
    if loss["kinds"]:
        yield f"{loss['kinds']:,} of {loss['of_kinds']:,} {NAMES[role]} entirely"
