"""What a data set consists of: clips and hours by corpus and licence, as cards show them."""

from __future__ import annotations

from typing import Any


def merged_licences(licences: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of `dataset.json`, sorted, with one for each corpus whatever the case of its name.

    A corpus read from its release and from a folder of recordings may be spelt in two ways; the one with more hours
    stays.

    >>> a, b = ({"clips": 2, "hours": 0.5, "commercial_use": True}, {"clips": 1, "hours": 2.0, "commercial_use": False})
    >>> merged_licences({"esc50: CC BY 3.0": a, "ESC50: CC BY 3.0": b})
    {'ESC50: CC BY 3.0': {'clips': 3, 'hours': 2.5, 'commercial_use': False}}
    """
    merged: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}  # the spelling that stays, by the name in lower case
    for name, entry in sorted(licences.items(), key=lambda item: -item[1]["hours"]):
        total = merged.setdefault(
            names.setdefault(name.casefold(), name), {"clips": 0, "hours": 0.0, "commercial_use": True}
        )
        total["clips"] += entry.get("clips", 0)  # older sets do not count them
        total["hours"] = round(total["hours"] + entry["hours"], 4)
        total["commercial_use"] = total["commercial_use"] and entry.get("commercial_use", False)
    return dict(sorted(merged.items()))


def describe_licences(licences: dict[str, dict[str, Any]]) -> str:
    """The line of a model card."""
    return "; ".join(f"{name} ({entry['hours']:.1f} h)" for name, entry in merged_licences(licences).items())
