"""ECG recordings: readers, R peaks, and the beats that are cut around them. Needs the extra `recordings`."""

from monitor.recordings.reading import lead_names, open_recording
from monitor.recordings.recording import Annotations, Recording

try:
    from monitor.recordings.segmenter import Segmenter, Segments
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error.name} is missing: pip install 'ecg-monitor[recordings]'") from error

__all__ = ["Annotations", "Recording", "Segmenter", "Segments", "lead_names", "open_recording"]
