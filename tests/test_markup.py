"""Tables as HTML and Markdown: escaping, alignment and headers."""

from __future__ import annotations

from unhiss.markup import Html, html_table, markdown_table


def test_html_cells_are_escaped_unless_they_are_html() -> None:
    table = html_table(["a<b", "n"], [["x & y", Html("<b>1</b>")]])
    assert "a&lt;b" in table and "x &amp; y" in table and "<b>1</b>" in table


def test_html_rows_and_columns_have_headers_and_numbers_a_class() -> None:
    table = html_table(["run", "kind", "loss"], [["first", "rced", "0.1"]], numeric_from=2)
    assert table.count('scope="col"') == 3 and '<th scope="row">first</th>' in table
    assert '<td>rced</td><td class="n">0.1</td>' in table
    assert "<thead>" not in html_table([], [["first", "1"]])


def test_markdown_columns_are_aligned_and_bars_are_escaped() -> None:
    assert markdown_table(["system", "n"], [["a|b", 3]], 1) == "| system | n |\n| --- | --: |\n| a\\|b | 3 |"
    assert "--:" not in markdown_table(["a", "b"], [["1", "2"]])
