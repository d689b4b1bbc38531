"""Readers of trajectory and topology files."""
