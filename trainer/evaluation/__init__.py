"""Figures on beats that nothing was chosen by."""
