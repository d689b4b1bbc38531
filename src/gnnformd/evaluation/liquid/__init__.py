"""Observables of a simulation beside those of a reference."""
