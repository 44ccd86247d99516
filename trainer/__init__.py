"""The trainer: it learns what normal heartbeats look like and writes the model file that the monitor loads."""
