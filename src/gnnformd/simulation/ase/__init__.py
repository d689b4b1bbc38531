"""Molecular dynamics by ASE."""
