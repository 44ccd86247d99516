"""Compares the monitor with other stream processors: same broker, beats, model and cores, each in a new process."""
