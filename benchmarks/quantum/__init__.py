"""Quantum-mechanical data: errors on official test sets."""
