"""One HTML page that loads nothing from outside: its pictures are inside it, and it has no script.

It fits narrow and wide screens, and follows the reader's choice of light or dark colours.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #52606d; --paper: #ffffff; --edge: #d9dee4; --card: #f5f7fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --soft: #9aa5b1; --paper: #14181d; --edge: #3a444f; --card: #1d232a }
  img { filter: brightness(.9) }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
p, li { max-width: 46rem }
.notice { border-left: .3rem solid #d1495b; padding: .2rem .8rem; margin: 1rem 0 }
.wide { overflow-x: auto; margin-bottom: 1rem } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--edge); white-space: nowrap }
th:first-child { text-align: left; vertical-align: top }
th[scope=row] { white-space: normal; overflow-wrap: break-word } td.text { text-align: left; white-space: normal }
tr.ours { font-weight: 600; background: var(--card) }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  align-items: start }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--edge); border-radius: .5rem;
  max-width: 40rem }
img { width: 100%; height: auto; border-radius: .3rem; display: block; background: #fff }
@media (max-width: 36rem) {
  th, td { padding: .25rem .4rem }
  .facts th, .facts td { display: block; border: 0; padding: .1rem 0 } }
figcaption { color: var(--soft); font-size: .9rem; padding-top: .5rem }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A PNG with its caption, and with a text for readers who cannot see it."""

    name: str
    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells. Without heads it is a list of names and facts. The row number `ours` is highlighted."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ours: int | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and below it paragraphs, a table and pictures."""

    title: str
    texts: tuple[str, ...] = ()
    table: Table | None = None
    pictures: tuple[PageFigure, ...] = ()


def render(title: str, notice: str, sections: Sequence[Section]) -> str:
    """The page as HTML. All text is escaped here, because names come from files."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f'<p class="notice">{escape(notice)}</p>\n{body}\n</body>\n</html>\n'
    )


def _section(section: Section) -> str:
    blocks = [f"<h2>{escape(section.title)}</h2>"]
    blocks += [f"<p>{escape(text)}</p>" for text in section.texts]
    blocks += [_table(section.table)] if section.table else []
    if section.pictures:
        blocks.append(f'<div class="pictures">{"".join(map(_figure, section.pictures))}</div>')
    return "\n".join(blocks)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.heads)
    rows = "\n".join(_row(row, facts=not table.heads, ours=place == table.ours) for place, row in enumerate(table.rows))
    opening = f"<table><tr>{head}</tr>" if head else '<table class="facts">'
    return f'<div class="wide">{opening}\n{rows}</table></div>'


def _row(row: tuple[str, ...], *, facts: bool, ours: bool) -> str:
    opening = '<td class="text">' if facts else "<td>"
    cells = "".join(f"{opening}{escape(cell)}</td>" for cell in row[1:])
    mark = ' class="ours"' if ours else ""
    return f'<tr{mark}><th scope="row">{escape(row[0])}</th>{cells}</tr>'


def _figure(picture: PageFigure) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    return (
        f'<figure id="{escape(picture.name)}"><img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
