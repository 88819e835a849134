"""What a data set consists of: clips and hours by corpus and licence, as cards show them."""

from __future__ import annotations

import re
from typing import Any

AUTHOR = re.compile(r"(?<=: )(CC[ -]BY[^()]*?) \((.+)\)$")  # "freesound: CC BY 3.0 (inchadney)"


def merged_licences(licences: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of `dataset.json`, sorted, with one for each corpus and licence, and `authors` where they are named.

    The case of a name does not matter: a corpus read from its release and from a folder of recordings may be spelt in
    two ways; the one with more hours stays.

    >>> a, b = ({"clips": 2, "hours": 0.5, "commercial_use": True}, {"clips": 1, "hours": 2.0, "commercial_use": False})
    >>> merged_licences({"esc50: CC BY 3.0 (Jo)": a, "ESC50: CC BY 3.0 (Al)": b})
    {'ESC50: CC BY 3.0': {'clips': 3, 'hours': 2.5, 'commercial_use': False, 'authors': ['Al', 'Jo']}}
    """
    merged: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}  # the spelling that stays, by the name in lower case
    for full_name, entry in sorted(licences.items(), key=lambda item: -item[1]["hours"]):
        name, author = AUTHOR.sub(r"\1", full_name), AUTHOR.search(full_name)
        total = merged.setdefault(
            names.setdefault(name.casefold(), name), {"clips": 0, "hours": 0.0, "commercial_use": True, "authors": []}
        )
        total["clips"] += entry.get("clips", 0)  # older sets do not count them
        total["hours"] = round(total["hours"] + entry["hours"], 4)
        total["commercial_use"] = total["commercial_use"] and entry.get("commercial_use", False)
        if author and author[2] not in total["authors"]:
            total["authors"].append(author[2])
    for total in merged.values():
        total["authors"].sort(key=str.casefold)
    return dict(sorted(merged.items()))


def describe_licences(licences: dict[str, dict[str, Any]]) -> str:
    """The line of a model card."""
    return "; ".join(
        f"{name} ({entry['hours']:.1f} h{_count(entry['authors'])})"
        for name, entry in merged_licences(licences).items()
    )


def _count(authors: list[str]) -> str:
    return f", {len(authors)} author{'s' * (len(authors) > 1)}" if authors else ""


def licence_rows(licences: dict[str, dict[str, Any]], decimals: int) -> list[tuple[str, str, str, str]]:
    """Rows of a table: corpus and licence, clips, hours, commercial use."""
    return [
        (name, f"{entry['clips']:,}", f"{entry['hours']:.{decimals}f}", "yes" if entry["commercial_use"] else "no")
        for name, entry in merged_licences(licences).items()
    ]


def author_credits(licences: dict[str, dict[str, Any]]) -> list[str]:
    """A paragraph of Markdown for each corpus and licence whose authors are named: such licences ask for it."""
    return [
        f"{name}, by {', '.join(f'`{author}`' for author in entry['authors'])}."
        for name, entry in merged_licences(licences).items()
        if entry["authors"]
    ]
