"""One file for each command of `ecg-monitor`."""
