"""Data sets of beats: fetching, reading and splitting them."""
