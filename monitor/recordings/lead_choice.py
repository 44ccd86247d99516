"""Finds the lead that a user names among those of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from monitor.errors import RecordingError

SHOWN = 16  # leads that a message lists
USUAL = ("MLII", "II")


def usual_lead(names: Sequence[str]) -> str | None:
    """The lead to take where nobody names one: MLII or II; None, which stands for the first lead, where neither is."""
    return next((name for name in USUAL if name in names), None)


def chosen(path: Path, names: Sequence[str], lead: str | int | None, what: Literal["lead", "column"] = "lead") -> int:
    """The number of a lead, counted from 0. `lead` is a name, a number from 0, or None for the first lead.

    The case of letters does not matter, and `II` finds `ECG II`. A name goes before a number. `what` the names are of
    is said in a message. Raises RecordingError for a lead that is missing or has the name of another one.
    """
    if not names:
        raise RecordingError(f"{path}: holds no signals, where at least one lead is expected")
    if lead is None:
        return 0
    found = _named(names, str(lead)) if isinstance(lead, str) else []
    if len(found) > 1:
        numbers = " and ".join(map(str, found))
        raise RecordingError(
            f"{path}: the {what}s {numbers} are all called {lead!r}", f"give the number of one of them as {{{what}}}"
        )
    if found:
        return found[0]
    if str(lead).isdecimal() and len(str(lead)) < 6 and int(lead) < len(names):  # noqa: PLR2004 - digits of a small number
        return int(lead)
    raise RecordingError(f"{path}: has no {what} {lead!r}: give a name or a number of {listed(names)}")


def _named(names: Sequence[str], lead: str) -> list[int]:
    """Numbers of the leads with this name; if none has exactly this one, of those with it after `ECG` or `EKG`."""
    wanted, keys = _key(lead), [_key(name) for name in names]
    exact = [number for number, key in enumerate(keys) if key == wanted]
    return exact or [number for number, key in enumerate(keys) if key in (f"ecg {wanted}", f"ekg {wanted}")]


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


def listed(names: Sequence[str]) -> str:
    """The leads with their numbers, for a message."""
    more = f", … {len(names)} in all" if len(names) > SHOWN else ""
    return ", ".join(f"{number} {name!r}" for number, name in enumerate(names[:SHOWN])) + more
