"""Tables as HTML and as Markdown."""

from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is already HTML: html_table() does not escape it."""


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric_from: int = 1) -> str:
    """A `<table>` with escaped text; the first cell of a row is its header, cells from `numeric_from` on have class n.

    >>> html_table([], [["a&b", Html("<b>0.1</b>")]])
    '<table><tr><th scope="row">a&amp;b</th><td class="n"><b>0.1</b></td></tr></table>'
    """

    def line(cells: Sequence[str], tags: Sequence[str]) -> str:
        texts = [cell if isinstance(cell, Html) else escape(cell) for cell in cells]
        classes = [' class="n"' if column >= numeric_from else "" for column in range(len(texts))]
        parts = [f"<{t}{c}>{text}</{t.split()[0]}>" for t, c, text in zip(tags, classes, texts, strict=True)]
        return f"<tr>{''.join(parts)}</tr>"

    column_head, row_head = 'th scope="col"', 'th scope="row"'
    top = f"<thead>{line(head, [column_head] * len(head))}</thead>" if head else ""
    body = "".join(line(row, [row_head, *["td"] * (len(row) - 1)]) for row in rows)
    return f"<table>{top}{body}</table>"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]], left: int | None = None) -> str:
    """A Markdown table; the first `left` columns are aligned left (None: all), the others right.

    >>> print(markdown_table(["system", "n"], [["a|b", 3]], 1))
    | system | n |
    | --- | --: |
    | a\\|b | 3 |
    """
    left = len(head) if left is None else left
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    lines = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
