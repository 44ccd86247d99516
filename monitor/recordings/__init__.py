"""ECG signals: R peaks, and the beats that are cut around them. Needs the extra `recordings`."""

try:
    from monitor.recordings.segmenter import Segmenter, Segments
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error.name} is missing: pip install 'ecg-monitor[recordings]'") from error

__all__ = ["Segmenter", "Segments"]
