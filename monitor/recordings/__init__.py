"""ECG recordings: readers, R peaks, and the beats that are cut around them. Needs the extra `recordings`.

SciPy comes with the first use of `Segmenter` or `Segments`: a reader needs none.
"""

from typing import TYPE_CHECKING

from monitor.recordings.reading import lead_names, open_recording
from monitor.recordings.recording import Annotations, Recording

if TYPE_CHECKING:
    from monitor.recordings.segmenter import Segmenter, Segments
else:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from monitor.recordings import segmenter  # noqa: PLC0415 - brings SciPy
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{error.name} is missing: pip install 'ecg-monitor[recordings]'") from error
        return getattr(segmenter, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = ["Annotations", "Recording", "Segmenter", "Segments", "lead_names", "open_recording"]
