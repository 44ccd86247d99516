"""The exceptions of the monitor, grouped by how it reacts.

MonitorError
├── RefusedError       a setting, a file or an artifact is wrong: refuse to start, exit 2
└── BrokerError        Kafka fails: try again up to the limit, then exit 1; the supervisor restarts it
    └── RewoundError   … and the current step is void: drop it, its records are read again

Any other exception is a defect of the monitor. Nothing catches it: the process logs the traceback and exits with
DEFECT_EXIT_CODE.

A bad beat is not an exception: it is a value (`parse.Rejected`) that goes to the dead letters. The beats around it are
judged as usual. Each message is one sentence that says what is wrong, where, and what to do.
"""

from __future__ import annotations

import re
import sys

DEFECT_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
_CHOICE = re.compile(r"\{(\w+)\}")
CLIENT_PACKAGES = frozenset({"kafka", "lz4", "snappy", "zstandard"})  # the Kafka client and the codecs that it calls


class MonitorError(Exception):
    """A fault with a sentence for the person who runs the command."""

    exit_code = 1

    def for_command(self) -> str:
        """The sentence for a person who gives options to a command."""
        return str(self)


class RefusedError(MonitorError):
    """A setting, an argument or a file that cannot be used as it is."""

    exit_code = 2


class ArtifactError(RefusedError):
    """A model file that is damaged, or not what it claims to be."""


class RecordingError(RefusedError, ValueError):
    """A recording that cannot be read, or has no such lead. For users of the Python API it is a ValueError.

    `advice` says what to do. What a caller may choose stands in it in braces, as in `give the rate ({hz})`: an argument
    of the Python API is called `hz`, and an option of a command `--hz`.
    """

    def __init__(self, problem: str, advice: str = "", done: str = "") -> None:
        super().__init__(problem, advice, done)
        self._problem, self._advice, self._done = problem, advice, done

    def __str__(self) -> str:
        return self._sentence("")

    def for_command(self) -> str:
        return self._sentence("--")

    def after(self, done: str) -> RecordingError:
        """The same error, which also says what was done before."""
        return RecordingError(self._problem, self._advice, done)

    def _sentence(self, prefix: str) -> str:
        advice = _CHOICE.sub(rf"{prefix}\1", self._advice)
        return ": ".join(filter(None, (self._problem, advice))) + (f" ({self._done})" if self._done else "")


class BrokerError(MonitorError):
    """Kafka cannot be reached or refuses; the same call may succeed later."""


class RewoundError(BrokerError):
    """A transaction was not committed: its beats are read again from the last committed offsets."""


def raised_in(error: BaseException) -> str:
    """The top-level package whose code raised an error, such as `kafka`; empty where nothing raised it.

    Frames of the standard library do not count: an error of `selectors` that `kafka` runs into is one of `kafka`.
    """
    package, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        package = package if name in sys.stdlib_module_names else name
        trace = trace.tb_next
    return package
