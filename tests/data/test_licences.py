"""Licences that name an author are summed up by corpus, and every author stays named."""

import json
from pathlib import Path

from unhiss.data.licences import author_credits, describe_licences, licence_rows, merged_licences

ONE = {"clips": 1, "hours": 0.26, "commercial_use": True}
LICENCES = {
    "freesound: CC BY 3.0 (zoe)": ONE,
    "freesound: CC BY 3.0 (Alan McKinney (alanmcki))": ONE,
    "freesound: CC BY 3.0": ONE,  # of the same corpus, without a name
    "freesound: CC0 1.0": ONE,
    "dns: mixed (DNS challenge, by part)": ONE | {"commercial_use": False},  # no author
}


def test_authors_are_counted_in_the_line_of_a_card_and_named_in_its_text() -> None:
    assert describe_licences(LICENCES) == (
        "dns: mixed (DNS challenge, by part) (0.3 h); freesound: CC BY 3.0 (0.8 h, 2 authors);"
        " freesound: CC0 1.0 (0.3 h)"
    )
    assert author_credits(LICENCES) == ["freesound: CC BY 3.0, by `Alan McKinney (alanmcki)`, `zoe`."]
    assert licence_rows(LICENCES, 2) == [
        ("dns: mixed (DNS challenge, by part)", "1", "0.26", "no"),
        ("freesound: CC BY 3.0", "3", "0.78", "yes"),
        ("freesound: CC0 1.0", "1", "0.26", "yes"),
    ]


def test_nobody_is_lost_of_the_hundreds_of_authors_of_a_training_set() -> None:
    record = Path(__file__).parent.parent.parent / "checkpoints" / "small.training.json"
    licences = json.loads(record.read_text(encoding="utf-8"))["data"]["licences"]
    text = " ".join(author_credits(licences))
    named = [
        name.rsplit("BY", 1)[1].split("(", 1)[1].removesuffix(")")
        for name in licences
        if "BY" in name and "(" in name.split(": ", 1)[1]
    ]
    assert len(named) > 300 and all(f"`{name}`" in text for name in named)
    assert len(describe_licences(licences)) < 2000
    assert sum(entry["clips"] for entry in merged_licences(licences).values()) == sum(
        e["clips"] for e in licences.values()
    )
