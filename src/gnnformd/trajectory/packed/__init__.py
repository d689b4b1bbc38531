"""Frames on disk as binary arrays."""
