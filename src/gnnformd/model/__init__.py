"""The networks and their file format."""
