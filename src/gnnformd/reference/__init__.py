"""Data made by LAMMPS: systems, the LAMMPS library, and the folder a run leaves behind."""
