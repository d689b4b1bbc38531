"""Errors of forces and energies, and force curves."""
