"""What is asked of a receiver, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Request:
    """The body of one POST, and its headers besides those of HTTP itself."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class AnswerKind(Enum):
    """What an answer means."""

    TAKEN = auto()
    REFUSED = auto()  # this event is wrong, and will be at the next try
    FAILED = auto()  # the receiver failed with this event; it may take others
    DOUBTFUL = auto()  # no event can be sent now, or something in between fails with this event
    UNAVAILABLE = auto()  # no event can be sent now, whatever it is


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request. `why` is a sentence, empty where the event was taken."""

    kind: AnswerKind
    why: str = ""
    wait_seconds: float = 0.0  # at least so long, as the receiver asked


TAKEN = Answer(AnswerKind.TAKEN)
_REFUSED = frozenset({400, 409, 413, 422, 431})  # others of 400 to 499 say that the address or the token is wrong
_LATER = frozenset({408, 425, 429})
_IN_BETWEEN = frozenset({502, 503, 504})  # said by a proxy: its server is unavailable, or crashes with this event


def kind_of(status: int) -> AnswerKind:
    """What a status of HTTP means for the event."""
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of statuses are HTTP's
        return AnswerKind.TAKEN
    if status in _REFUSED:
        return AnswerKind.REFUSED
    if status in _LATER:
        return AnswerKind.UNAVAILABLE
    return AnswerKind.FAILED if status >= 500 and status not in _IN_BETWEEN else AnswerKind.DOUBTFUL  # noqa: PLR2004
