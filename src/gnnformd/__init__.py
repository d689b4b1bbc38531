"""Learn the forces of a LAMMPS simulation with a graph neural network and run the simulation with them."""

__version__ = "0.1.0"
