"""Dumps, topologies and datasets: everything becomes a stream of Frames here."""
