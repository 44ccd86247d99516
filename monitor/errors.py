"""What can go wrong, sorted by what the monitor does about it.

MonitorError
├── RefusedError   a setting, a file or an artifact is wrong: refuse to start, exit 2
└── BrokerError    Kafka's fault: retry within the limit, then exit 1 and be restarted
    └── RewoundError   … and what is in hand is void: drop it, it will be read again

A bad beat is no exception: it is a value (`parse.Rejected`) that goes to the dead letters while its neighbours go on.
Each message is one sentence that names what is wrong, where, and what to do.
"""

from __future__ import annotations


class MonitorError(Exception):
    """A fault with a sentence for the person who runs the command."""

    exit_code = 1


class RefusedError(MonitorError):
    """A setting, an argument or a file that cannot be used as it is."""

    exit_code = 2


class ArtifactError(RefusedError):
    """A model file that cannot prove what it is."""


class BrokerError(MonitorError):
    """Kafka cannot be reached or refuses; the same call may go through later."""


class RewoundError(BrokerError):
    """A transaction came to nothing: its beats are read again from the last committed offsets."""
