"""Compares the alerts, letters and scores of the disturbed monitors with those expected. Pure functions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from tests.chaos.readback import Letter, Place

FACTS = ("source", "kind", "cause", "beat_time", "opened_at", "closed_at", "beats", "partition", "offset")


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences of two collections that should contain the same items, each once."""

    expected: int
    found: int
    lost: tuple[Hashable, ...]
    made_up: tuple[Hashable, ...]
    doubled: tuple[Hashable, ...]
    changed: tuple[Hashable, ...] = ()  # there once each, but of other contents

    @property
    def holds(self) -> bool:
        return not (self.lost or self.made_up or self.doubled or self.changed)

    def counts(self) -> dict[str, int]:
        names = ("lost", "made_up", "doubled", "changed")
        return {"expected": self.expected, "found": self.found, **{name: len(getattr(self, name)) for name in names}}


def compare(expected: Iterable[Hashable], found: Iterable[Hashable]) -> Difference:
    """The items that are missing, unexpected or duplicated."""
    wanted, counted = set(expected), Counter(found)
    return Difference(
        expected=len(wanted),
        found=counted.total(),
        lost=tuple(sorted(wanted - counted.keys(), key=repr)),
        made_up=tuple(sorted(counted.keys() - wanted, key=repr)),
        doubled=tuple(sorted((thing for thing, count in counted.items() if count > 1), key=repr)),
    )


def compare_alerts(undisturbed: Sequence[Mapping[str, Any]], disturbed: Sequence[Mapping[str, Any]]) -> Difference:
    """Alerts by (id, event), which stands once whatever its offset; and whether they tell the same.

    Scores are left out of the telling: their last bits depend on the size of the batch.
    """
    reference = {_name(alert): alert for alert in undisturbed}
    found = compare(reference, map(_name, disturbed))
    others = {
        _name(alert)
        for alert in disturbed
        if (known := reference.get(_name(alert))) and any(known[fact] != alert[fact] for fact in FACTS)
    }
    return replace(found, changed=tuple(sorted(others - set(found.doubled))))


def compare_letters(refused: Mapping[Place, Any], letters: Sequence[Letter]) -> Difference:
    """Compare dead letters with the records that are not beats: one each, with a reason and every byte."""
    found = compare(refused, (letter.place for letter in letters))
    spoilt = {letter.place for letter in letters if not letter.reason or not _is_whole(letter, refused)}
    return replace(found, changed=tuple(sorted(spoilt)))


def _is_whole(letter: Letter, refused: Mapping[Place, Any]) -> bool:
    record = refused.get(letter.place)
    return record is None or (letter.key, letter.value) == (record.key, record.value)


def _name(alert: Mapping[str, Any]) -> tuple[str, str]:
    return alert["id"], alert["event"]


def doubles(alerts: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Alerts that occur more than once. The undisturbed run must have none."""
    return tuple(name for name, count in Counter(map(_name, alerts)).items() if count > 1)
