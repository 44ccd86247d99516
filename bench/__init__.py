"""The monitor beside what tutorials do, on the same broker, beats and model, in one run."""
