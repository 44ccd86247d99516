"""Beats to train on: fetching, reading, splitting."""
