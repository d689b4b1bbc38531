"""Loops compiled by numba: the work per pair of atoms of the density model on a processor."""
