"""Time per atom and step."""
