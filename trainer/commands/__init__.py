"""One file for each command of `ecg-trainer`."""
