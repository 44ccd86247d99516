"""Measurements of detectors on labelled test beats."""
