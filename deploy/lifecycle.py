"""Writes the table of an alarm's life into `docs/alarms.md`: `python -m deploy.lifecycle`, from the repository's root.

The table is the one that the monitor goes by; a test checks that the page is up to date.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from pathlib import Path

from deploy.page_table import with_table
from monitor.alarms.lifecycle import TABLE

PAGE = Path(__file__).parents[1] / "docs" / "alarms.md"
BEGIN, END = "<!-- lifecycle: begin, `python -m deploy.lifecycle` writes it -->\n", "<!-- lifecycle: end -->\n"


def rows() -> list[str]:
    """The table as Markdown: a row for each state and what may come in it."""
    found = [f"| {state} | `{given}` | {after} | {event or '-'} |" for (state, given), (after, event) in TABLE.items()]
    return ["| the alarm is | what comes | it is then | event |", "|---|---|---|---|", *found]


def page(text: str) -> str:
    """The page with the current table."""
    return with_table(text, BEGIN, END, rows())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
