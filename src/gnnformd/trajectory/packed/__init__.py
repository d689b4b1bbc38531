"""Frames on disk in a form that is read without parsing."""
