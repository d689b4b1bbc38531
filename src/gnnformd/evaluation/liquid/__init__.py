"""Observables of a simulation compared with a reference."""
