"""Beats onto the beats topic: those of recordings that are played, and those of a live signal."""
