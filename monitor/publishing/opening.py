"""Opens a recording for a command: what the library says about a choice is said with the option that makes it."""

from __future__ import annotations

from pathlib import Path

from monitor.errors import RecordingError
from monitor.recordings import Recording, open_recording

OPTION_WORDS = (
    ("the samples a second (hz)", "the samples a second (--hz)"),
    ("give its unit:", "give its unit (--unit):"),
    ("by the unit adc/N", "by --unit adc/N"),
    ("and column '", "and --column '"),
    ("holds the times: give another one of", "holds the times: give another --column, one of"),
)


def opened(
    path: Path, lead: str | None, *, hz: float | None = None, column: str | None = None, unit: str | None = None
) -> Recording:
    """A lead of a recording. Raises RecordingError, with a sentence that names options."""
    try:
        return open_recording(path, lead=lead, hz=hz, column=column, unit=unit)
    except RecordingError as error:
        text = str(error)
        for words, with_option in OPTION_WORDS:
            text = text.replace(words, with_option)
        raise RecordingError(text) from error
