"""Evaluation: error metrics, force curves, observables, figures and the report."""
