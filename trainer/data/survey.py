"""What a data set of recordings was made from: people, leads, hours and beats, in figures and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class LeadSurvey:
    """What became of one lead of one recording. Numbers of beats, unless said otherwise."""

    recording: str
    patient: str
    lead: str
    seconds: float
    annotated: bool
    found: int
    unlabelled: int  # found where no annotated beat is near: left out
    not_found: int  # annotated, but not found
    aside: int  # without annotations: set aside, because they differ from the lead's typical beat
    used: int  # of the normal and abnormal beats that remain, an even selection of bounded size


def patients(leads: Sequence[LeadSurvey]) -> int:
    """The number of people."""
    return len({each.patient for each in leads})


def sentences(leads: Sequence[LeadSurvey]) -> tuple[str, ...]:
    """How many people, leads, hours and beats there are, and what was left out."""
    found, used = sum(each.found for each in leads), sum(each.used for each in leads)
    return (f"{extent(leads)}: {found:,} beats found, {used:,} used", *_annotated(leads), *_without(leads))


def extent(leads: Sequence[LeadSurvey]) -> str:
    """How many people, recordings, leads and hours."""
    recordings = len({each.recording for each in leads})
    names = ", ".join(f"{name} {count}" for name, count in Counter(each.lead for each in leads).most_common())
    hours = sum(each.seconds for each in leads) / SECONDS_PER_HOUR
    return (
        f"{count_of(patients(leads), 'person')}, {count_of(recordings, 'recording')}, "
        f"{count_of(len(leads), 'lead')} ({names}), {hours:.1f} hours of signal"
    )


def _annotated(leads: Sequence[LeadSurvey]) -> list[str]:
    """A sentence on the leads with annotations, if there are any."""
    labelled = [each for each in leads if each.annotated]
    if not labelled:
        return []
    unlabelled, not_found = sum(each.unlabelled for each in labelled), sum(each.not_found for each in labelled)
    counted = count_of(len(labelled), "lead")
    return [
        (
            f"{counted} with annotations: normal is class N of AAMI EC57 (codes N, L, R, B, e, j, n), other classes "
            f"are abnormal; {unlabelled:,} beats without an annotation within 150 ms are left out, and {not_found:,} "
            "annotated beats were not found"
        )
    ]


def _without(leads: Sequence[LeadSurvey]) -> list[str]:
    """A sentence on the leads without annotations, if there are any."""
    others = [each for each in leads if not each.annotated]
    if not others:
        return []
    aside = sum(each.aside for each in others)
    return [
        (
            f"{count_of(len(others), 'lead')} without annotations: all beats are taken as normal but {aside:,} "
            "that do not look like the typical beat of their lead; these are set aside"
        )
    ]
