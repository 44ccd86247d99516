"""The trainer: learns what normal beats look like, and writes the model that the monitor serves."""
