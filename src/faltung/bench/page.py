"""The report as one HTML file that needs nothing else: tables, and plots as embedded pictures."""

import base64
import html
import re
from collections.abc import Iterable, Mapping

from faltung.bench.document import Block, Code, Figure, Heading, Paragraph, Picture, Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: 2px 10px; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { vertical-align: bottom; }
td.word, th.word { text-align: left; white-space: normal; }
code { background: #f4f4f4; padding: 0 3px; }
img { max-width: 100%; }
"""


def page(blocks: Iterable[Block], figures: Mapping[str, bytes], *, title: str = "Benchmarks") -> str:
    """Return the blocks as HTML; `figures` are SVG files by name."""
    body = "\n".join(_html(block, figures) for block in blocks)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _html(block: Block, figures: Mapping[str, bytes]) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_text(text)}</p>"
        case Figure(name) if name in figures:
            data = base64.b64encode(figures[name]).decode("ascii")
            return f'<p><img alt="{name}" src="data:image/svg+xml;base64,{data}"/></p>'
        case Picture(name, data):
            return f'<p><img alt="{name}" src="data:image/png;base64,{base64.b64encode(data).decode("ascii")}"/></p>'
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Table(head, rows, words):
            lines = [_row("th", head, words), *(_row("td", row, words) for row in rows)]
            return f"<table>{''.join(lines)}</table>"
    return ""


def _row(tag: str, cells: tuple[str, ...], words: int) -> str:
    kinds = (' class="word"' if column < words else "" for column in range(len(cells)))
    tagged = (f"<{tag}{kind}>{_text(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{''.join(tagged)}</tr>"


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))
