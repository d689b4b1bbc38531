"""Molecular dynamics by LAMMPS."""
