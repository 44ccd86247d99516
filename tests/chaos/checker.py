"""Compares the alerts, letters and scores of the disturbed monitors with those expected. Pure functions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from tests.chaos.readback import Letter, Place

FACTS = (
    "source",
    "kind",
    "cause",
    "marks",
    "priority",
    "presence",
    "reopened",
    "decided_by",
    "beat_time",
    "opened_at",
    "closed_at",
    "beats",
    "partition",
    "offset",
)

BEAT = ("beat_time", "offset")


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
    """The items that are missing, unexpected or there more often than expected."""
    wanted, counted = Counter(iter(expected)), Counter(found)  # `iter`: a mapping is its keys
    return Difference(
        expected=wanted.total(),
        found=counted.total(),
        lost=tuple(sorted((thing for thing, count in wanted.items() if counted[thing] < count), key=repr)),
        made_up=tuple(sorted(counted.keys() - wanted.keys(), key=repr)),
        doubled=tuple(sorted((thing for thing, count in counted.items() if count > max(1, wanted[thing])), key=repr)),
    )


def compare_alerts(undisturbed: Sequence[Mapping[str, Any]], disturbed: Sequence[Mapping[str, Any]]) -> Difference:
    """Alerts by (id, event), which stands once for each time that the episode opened, whatever its offset; and whether
    they tell the same.

    Scores are left out of the telling: their last bits depend on the size of the batch. So is the beat of another
    source that shows that one has stopped: after a start it is a later one.
    """
    wanted, told = _facts(undisturbed), _facts(disturbed)
    found = compare(map(_name, undisturbed), map(_name, disturbed))
    others = {name for name, facts in told.items() if name in wanted and facts != wanted[name]}
    return replace(found, changed=tuple(sorted(others - {*found.doubled, *found.lost})))


def _facts(alerts: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[list[Any]]]:
    """What the alerts of each name tell, in the order of their beats."""
    found: dict[tuple[str, str], list[list[Any]]] = {}
    for alert in sorted(alerts, key=itemgetter("offset")):
        is_noticed = alert["cause"] == "no-signal" and alert["event"] != "closed"
        found.setdefault(_name(alert), []).append([alert[fact] for fact in FACTS if not is_noticed or fact not in BEAT])
    return found


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
    """Alerts that no undisturbed run has: two at one beat, or an alarm that opens, latches or closes twice in a row."""
    found, known, last = [], set(), {}
    for alert in sorted(alerts, key=itemgetter("offset")):
        (name, event), offset = _name(alert), alert["offset"]
        is_edge = event in {"opened", "closed"} or alert["presence"] == "latched"
        if (name, event, offset) in known or (is_edge and last.get(name) == alert["presence"]):
            found.append((name, event))
        known.add((name, event, offset))
        last[name] = alert["presence"] if is_edge else last.get(name)
    return tuple(found)
