"""Molecular dynamics with a trained model, in LAMMPS and in ASE."""
